//! Bytes as the case files write them: escapes, named pieces, and repetitions.

use std::collections::BTreeMap;

/// The pieces that a file has named by `let`.
pub(super) type Names = BTreeMap<String, String>;

/// The bytes that `text` stands for.
///
/// `\r`, `\n`, `\t`, `\0`, `\s` (a space), `\\`, `\{`, `\}` and `\xHH` are one byte each. `{NAME}` is what `let NAME = …` said,
/// and `{text*200}` is `text` 200 times, in which `\#` is the number of the repetition, from 1.
pub(super) fn bytes(text: &str, names: &Names) -> Result<Vec<u8>, String> {
    expand(text, names, 0)
}

fn expand(text: &str, names: &Names, number: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '\\' => {
                let which = rest.chars().next().ok_or("a backslash at the end")?;
                rest = &rest[which.len_utf8()..];
                match which {
                    'r' => out.push(b'\r'),
                    'n' => out.push(b'\n'),
                    't' => out.push(b'\t'),
                    '0' => out.push(0),
                    's' => out.push(b' '),
                    '\\' | '{' | '}' => out.push(which as u8),
                    '#' => out.extend(number.to_string().bytes()),
                    'x' => {
                        let (hex, behind) = rest.split_at_checked(2).ok_or("a short \\x")?;
                        let byte = u8::from_str_radix(hex, 16)
                            .map_err(|_| format!("no byte: \\x{hex}"))?;
                        out.push(byte);
                        rest = behind;
                    }
                    other => return Err(format!("no escape: \\{other}")),
                }
            }
            '{' => {
                let end = closing(rest).ok_or_else(|| format!("an open brace: {{{rest}"))?;
                let (inner, behind) = (&rest[..end], &rest[end + 1..]);
                rest = behind;
                if let Some((what, times)) = inner.rsplit_once('*')
                    && let Ok(times) = times.parse::<usize>()
                {
                    if what.contains("\\#") {
                        for number in 1..=times {
                            out.extend(expand(what, names, number)?);
                        }
                    } else {
                        out.extend(expand(what, names, number)?.repeat(times));
                    }
                } else {
                    let named = names
                        .get(inner)
                        .ok_or_else(|| format!("no name: {inner}"))?;
                    out.extend(expand(named, names, number)?);
                }
            }
            '}' => return Err("a brace that nobody opened".to_owned()),
            other => out.extend(other.to_string().bytes()),
        }
    }
    Ok(out)
}

/// Where the brace that is open at the beginning is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[test]
fn escapes_names_and_repetitions_become_bytes() {
    let names = Names::from([("H".to_owned(), "Host: a\\r\\n".to_owned())]);
    for (text, expected) in [
        ("a\\x00\\0\\s\\\\", &b"a\0\0 \\"[..]),
        ("{H}\\r\\n", b"Host: a\r\n\r\n"),
        ("{X\\#: {ab*2}\\n*2}", b"X1: abab\nX2: abab\n"),
        ("\\{\\}*", b"{}*"),
    ] {
        assert_eq!(bytes(text, &names).unwrap(), expected, "{text}");
    }
    for wrong in ["\\", "\\q", "\\x0", "{", "{NONE}", "}"] {
        assert!(bytes(wrong, &names).is_err(), "{wrong}");
    }
}
