//! A directory with the files that a configuration may name, and one file in it that every run writes anew.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::CertifiedKey;
use tempfile::TempDir;
use time::OffsetDateTime;
use wsgate::config::Config;
use wsgate::config::Diagnostic;
use wsgate::config::Environment;
use wsgate::config::Errors;

thread_local! {
    static DIRECTORY: RefCell<TempDir> = RefCell::new(directory());
}

/// A day on which the certificates are in date.
pub(crate) fn now() -> OffsetDateTime {
    rcgen::date_time_ymd(2026, 3, 1)
}

fn directory() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let names = ["chat.example".to_owned(), "*.chat.example".to_owned()];
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).expect("a certificate");
    let write = |name: &str, text: &str, mode: u32| {
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).mode(mode);
        let mut file = file.open(dir.path().join(name)).expect("a file");
        file.write_all(text.as_bytes()).expect("written");
    };
    write("cert.pem", &cert.pem(), 0o644);
    write("key.pem", &signing_key.serialize_pem(), 0o600);
    write("open.pem", &signing_key.serialize_pem(), 0o644);
    write("a.conf", "server { listen 81; return 404; }\n", 0o644);
    write("b.conf", "include b.conf; include a.conf;\n", 0o644);
    write("mime.types", "types { text/html html; }\n", 0o644);
    dir
}

/// What `use_it` makes of a file of this name with these bytes.
pub(crate) fn with<T>(name: &str, bytes: &[u8], use_it: impl FnOnce(&Path) -> T) -> T {
    DIRECTORY.with_borrow(|dir| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("written");
        use_it(&path)
    })
}

/// What is read of a configuration.
pub(crate) fn read(bytes: &[u8]) -> Result<(Config, Vec<Diagnostic>), Errors> {
    with("routes.yaml", bytes, |path| Config::read(path, &Environment::default(), now()))
}

/// Whether a text names files that are not ours: what becomes of it would depend on the machine.
pub(crate) fn leaves_the_directory(text: &[u8]) -> bool {
    let has = |what: &[u8]| text.windows(what.len()).any(|part| part == what);
    has(b"/dev") || has(b"/proc") || has(b"/sys") || has(b"..")
}
