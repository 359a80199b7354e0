//! Reads an nginx.conf and all files that it includes into one tree of directives.
//!
//! Relative paths are relative to the directory of the main file, as in nginx. A file that is not there, or that
//! includes itself, is noted at its `include`, and reading goes on: the import may run on another machine than nginx.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;

use crate::config::Diagnostic;
use crate::config::Severity;
use crate::nginx::ImportError;
use crate::nginx::glob;
use crate::nginx::lexer::Lexer;
use crate::nginx::lexer::Refused;
use crate::nginx::lexer::SyntaxError;
use crate::nginx::lexer::TokenKind;
use crate::nginx::tree::Directive;
use crate::nginx::tree::Files;

/// The most bytes of all files together: a hundred times what the largest configurations have.
const MOST_BYTES: u64 = 16 << 20;

/// The most files that are read. Without a limit a few files that include each other twice could be read for ever.
const MOST_FILES: usize = 2_000;

/// The deepest nesting of blocks and includes together; five is usual.
const DEEPEST: usize = 48;

/// Reads `path` and the files that it includes.
///
/// # Errors
/// If the main file cannot be read, or if one of the files breaks nginx's syntax, with the first place that does.
pub(super) fn read(path: &Path) -> Result<(Vec<Directive>, Files), ImportError> {
    let name = path.display().to_string();
    let unreadable = |error: io::Error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::IsADirectory => "this is a directory".to_owned(),
            kind => format!("the file cannot be read: {kind}"),
        };
        let mut diagnostic = Diagnostic::new(Severity::Error, &name, None, message);
        diagnostic.help("name nginx's main file, as in `wsgate import /etc/nginx/nginx.conf`");
        ImportError::Unreadable(Box::new(diagnostic))
    };
    let text = text(path, MOST_BYTES).map_err(unreadable)?;
    let mut reader = IncludeReader {
        dir: path.parent().unwrap_or(Path::new("")).to_owned(),
        left: MOST_BYTES.saturating_sub(text.len() as u64),
        open: path.canonicalize().into_iter().collect(),
        read: 0,
        files: Files::default(),
    };
    let directives = reader.file(name, &text, 0).map_err(ImportError::Refused)?;
    Ok((directives, reader.files))
}

/// The text of a file of at most `most` bytes. A byte that is no UTF-8 becomes U+FFFD, which no word may have.
fn text(path: &Path, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Reads files, and those that they include.
struct IncludeReader {
    /// The directory of the main file.
    dir: PathBuf,
    /// How many bytes may still be read.
    left: u64,
    /// The files that are being read, each included by the one before.
    open: Vec<PathBuf>,
    /// How many included files were read so far.
    read: usize,
    files: Files,
}

/// How far a file was read.
struct Position<'t> {
    lexer: Lexer<'t>,
    file: usize,
}

impl IncludeReader {
    /// The directives of a file of this name and text, which stands `depth` blocks and includes deep.
    fn file(
        &mut self,
        name: String,
        text: &str,
        depth: usize,
    ) -> Result<Vec<Directive>, Box<Diagnostic>> {
        let file = self.files.add(name, text.to_owned());
        let mut position = Position {
            lexer: Lexer::new(text),
            file,
        };
        self.block(&mut position, None, depth)
            .map_err(|stopped| match stopped {
                Stopped::Here((fault, span)) => {
                    let mut diagnostic =
                        self.files
                            .source(file)
                            .about(Severity::Error, &span, fault.to_string());
                    diagnostic.help(fault.help());
                    Box::new(diagnostic)
                }
                Stopped::Inside(diagnostic) => diagnostic,
            })
    }

    /// The directives up to the `}` of the block that was opened at `opened`, or to the end of the file.
    fn block(
        &mut self,
        position: &mut Position<'_>,
        opened: Option<Range<usize>>,
        depth: usize,
    ) -> Result<Vec<Directive>, Stopped> {
        let mut directives = Vec::new();
        loop {
            let Some(token) = position.lexer.next()? else {
                return match opened {
                    Some(span) => Err((SyntaxError::OpenBlock, span).into()),
                    None => Ok(directives),
                };
            };
            let name = match token.kind {
                TokenKind::Word(name) => name,
                TokenKind::Close if opened.is_some() => return Ok(directives),
                TokenKind::Close => return Err((SyntaxError::NothingToClose, token.span).into()),
                TokenKind::End => return Err((SyntaxError::NoWord(';'), token.span).into()),
                TokenKind::Open => return Err((SyntaxError::NoWord('{'), token.span).into()),
            };
            if depth >= DEEPEST {
                return Err((SyntaxError::TooDeep, token.span).into());
            }
            let mut directive = Directive {
                name,
                args: Vec::new(),
                block: None,
                place: self.files.place(position.file, &token.span),
                problem: None,
            };
            self.rest(&mut directive, position, token.span, depth)?;
            if directive.name == "include" && directive.block.is_none() && directive.args.len() == 1
            {
                self.include(directive, depth, &mut directives)?;
            } else {
                directives.push(directive);
            }
        }
    }

    /// Reads the arguments of a directive, whose name stands at `start`, and its block, if it has one.
    fn rest(
        &mut self,
        directive: &mut Directive,
        position: &mut Position<'_>,
        start: Range<usize>,
        depth: usize,
    ) -> Result<(), Stopped> {
        loop {
            let token = position.lexer.next()?;
            match token.map(|token| token.kind) {
                Some(TokenKind::Word(word)) => directive.args.push(word),
                Some(TokenKind::End) => return Ok(()),
                Some(TokenKind::Open) if directive.name.ends_with("_by_lua_block") => {
                    if !position.lexer.skip_foreign() {
                        return Err((SyntaxError::OpenBlock, start).into());
                    }
                    directive.block = Some(Vec::new());
                    return Ok(());
                }
                Some(TokenKind::Open) => {
                    directive.block = Some(self.block(position, Some(start), depth + 1)?);
                    return Ok(());
                }
                Some(TokenKind::Close) | None => {
                    return Err((SyntaxError::NoSemicolon, start).into());
                }
            }
        }
    }

    /// Puts the directives of the included files in the place of an `include`, which itself stays for each file that
    /// cannot be read.
    fn include(
        &mut self,
        mut directive: Directive,
        depth: usize,
        directives: &mut Vec<Directive>,
    ) -> Result<(), Stopped> {
        let written = directive.arg(0).to_owned();
        let paths = if glob::is_pattern(&written) {
            glob::expand(&self.dir, &written)
        } else {
            vec![self.dir.join(&written)]
        };
        for path in paths {
            match self.included(&path) {
                Ok(text) => {
                    let canonical = path.canonicalize().unwrap_or_else(|_| path.clone());
                    self.open.push(canonical);
                    let inside = self.file(path.display().to_string(), &text, depth + 1);
                    self.open.pop();
                    directives.extend(inside.map_err(Stopped::Inside)?);
                }
                Err(problem) => {
                    directive.problem = Some(format!("{}: {problem}", path.display()));
                    directives.push(directive.clone());
                }
            }
        }
        Ok(())
    }

    /// The text of an included file.
    ///
    /// # Errors
    /// The reason why it is not read.
    fn included(&mut self, path: &Path) -> Result<String, String> {
        let data = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            kind => format!("it cannot be read: {kind}"),
        })?;
        if !data.is_file() {
            // Opening a named pipe could wait for ever.
            return Err("this is no file".to_owned());
        }
        if path
            .canonicalize()
            .is_ok_and(|path| self.open.contains(&path))
        {
            return Err("it includes itself".to_owned());
        }
        self.read += 1;
        if self.read > MOST_FILES {
            return Err(format!("more than {MOST_FILES} files are included"));
        }
        let text = text(path, self.left)
            .map_err(|error| format!("it cannot be read: {}", error.kind()))?;
        self.left -= text.len().min(self.left as usize) as u64;
        Ok(text)
    }
}

/// Why reading a file ends before its end.
enum Stopped {
    /// The file itself has a syntax error.
    Here(Refused),
    /// A file that it includes has an error, which is ready to print.
    Inside(Box<Diagnostic>),
}

impl From<Refused> for Stopped {
    fn from(refused: Refused) -> Self {
        Self::Here(refused)
    }
}
