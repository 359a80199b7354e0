//! A Unix socket in a `proxy_pass`, as nginx writes it: `http://unix:/run/app.sock`, `http://unix:/run/app.sock:/path/`.

use std::path::Path;
use std::sync::Arc;

use crate::upstream::proxy_pass::Problem;
use crate::upstream::proxy_pass::ProxyPassError;
use crate::upstream::proxy_pass::Scheme;

/// What stands before the socket's path.
pub(super) const PREFIX: &str = "unix:";

/// The longest path that a socket's address holds: `sun_path` has 108 bytes, and the last is a NUL (unix(7)).
const LONGEST: usize = 107;

/// The socket, and where a path of the request begins: behind the first colon of the socket's path, or at the end.
///
/// `start` is where [`PREFIX`] begins in `text`.
pub(super) fn read(
    text: &str,
    scheme: Scheme,
    start: usize,
) -> Result<(Arc<Path>, usize), ProxyPassError> {
    let wrong = |problem, span| Err(ProxyPassError { problem, span });
    let path_start = start + PREFIX.len();
    let path_end = text[path_start..]
        .find(':')
        .map_or(text.len(), |at| path_start + at);
    let path = &text[path_start..path_end];
    if scheme == Scheme::Https {
        let instead = format!("{}{}", Scheme::Http, &text[start..]);
        return wrong(Problem::UnixUnderTls { instead }, 0..path_start);
    }
    if path.is_empty() {
        return wrong(Problem::NoSocket, start..path_end);
    }
    if !path.starts_with('/') {
        return wrong(Problem::RelativeSocket, path_start..path_end);
    }
    if let Some(at) = path.find(char::is_control) {
        let length = path[at..].chars().next().map_or(0, char::len_utf8);
        let at = path_start + at;
        return wrong(Problem::ControlInSocket, at..at + length);
    }
    if path.len() > LONGEST {
        let length = path.len();
        return wrong(Problem::LongSocket { length }, path_start..path_end);
    }
    let end = match text[path_end..].strip_prefix(':') {
        None => path_end,
        Some(uri) if uri.starts_with('/') => path_end + 1,
        Some(_) => return wrong(Problem::NoUriBehindSocket, path_end..text.len()),
    };
    Ok((Path::new(path).into(), end))
}
