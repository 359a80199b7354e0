//! Inputs made of what the tests have already: the cases of `tests/hostile`.

use std::fs;
use std::io;
use std::path::Path;

use crate::hostile;

/// Said where a case says nothing.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The largest that is of use: longer ones are about limits of length.
const LARGEST: usize = 4096;

/// Writes inputs for `request` and for `connection` to directories of these names in `to`.
///
/// # Errors
/// A file cannot be read or written.
pub fn write(to: &Path) -> io::Result<usize> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hostile");
    let [requests, connections] = ["request", "connection"].map(|name| to.join(name));
    fs::create_dir_all(&requests)?;
    fs::create_dir_all(&connections)?;
    let mut written = 0;
    for entry in fs::read_dir(cases)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "cases") {
            continue;
        }
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for case in hostile::cases(&file, &fs::read_to_string(&path)?) {
            if case.sends.len() > LARGEST {
                continue;
            }
            fs::write(requests.join(&case.name), &case.sends)?;
            let mut script = b"\n".to_vec();
            script.extend_from_slice(&case.sends);
            let mut says = case.says.clone();
            if says.is_empty() {
                says.push((OK.to_vec(), false));
            }
            for (at, (bytes, closes)) in says.iter().enumerate() {
                if at == 1 && !case.sends_then.is_empty() {
                    script.push(1);
                    script.extend_from_slice(&case.sends_then);
                }
                script.push(2);
                script.extend_from_slice(bytes);
                if *closes {
                    script.push(3);
                }
            }
            fs::write(connections.join(&case.name), script)?;
            written += 2;
        }
    }
    Ok(written)
}
