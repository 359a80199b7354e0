//! An nginx.conf: any bytes become a `routes.yaml` or an error that can be printed.
//!
//! - What is written is accepted by `check`, with as many listeners and routes as the import counts. Certificates are those
//!   of another machine, so that each is replaced by one that is there; paths of Unix sockets are not looked at.
//! - Imported twice, it is the same.

use std::sync::LazyLock;

use regex::Regex;
use wsgate::config::Severity;
use wsgate::nginx::ImportError;
use wsgate::nginx::import;

use crate::file;

static PAIR: LazyLock<Regex> = LazyLock::new(|| regex(r"\{ cert: .*, key: .* \}"));
static CA: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^    ca: .*$"));

fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a regex")
}

/// Holds the above.
pub fn run(data: &[u8]) {
    if includes_elsewhere(data) {
        return;
    }
    let (first, again) = file::with("nginx.conf", data, |path| (import(path), import(path)));
    let imported = match (first, again) {
        (Ok(imported), Ok(same)) => {
            assert_eq!(imported, same);
            imported
        }
        (Err(ImportError::Refused(error)), Err(ImportError::Refused(same))) => {
            assert_eq!(error.severity(), Severity::Error);
            let printed = error.to_string();
            assert_eq!(printed, same.to_string());
            assert!(
                !printed.chars().any(|c| c.is_control() && c != '\n'),
                "a control byte: {printed:?}"
            );
            return;
        }
        (first, _) => panic!("neither imported nor refused: {first:?}"),
    };
    let yaml = PAIR.replace_all(&imported.yaml, "{ cert: cert.pem, key: key.pem }");
    let yaml = CA.replace_all(&yaml, "    ca: cert.pem");
    match file::read(yaml.as_bytes()) {
        Ok((config, _)) => {
            assert_eq!(
                (config.listeners.len(), config.routes.len()),
                (imported.listeners, imported.routes),
                "{yaml}"
            );
        }
        Err(errors) => panic!("what is written is refused:\n{yaml}\n{errors}"),
    }
}

/// Whether a file may be included that is not ours: only names without a directory are.
fn includes_elsewhere(data: &[u8]) -> bool {
    let name = b"include";
    (0..data.len()).any(|at| {
        data[at..].strip_prefix(name).is_some_and(|rest| {
            let argument = rest.split(|byte| *byte == b';').next().unwrap_or_default();
            argument
                .iter()
                .any(|byte| matches!(byte, b'/' | b'\\' | b'*' | b'?' | b'['))
        })
    })
}
