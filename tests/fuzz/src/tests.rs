//! Every target over its corpus, and over what the tests of wsgate have of its kind.

use std::fs;
use std::path::Path;

use crate::config;
use crate::connection;
use crate::engineio;
use crate::import;
use crate::location;
use crate::request;
use crate::seeds;
use crate::tunnel;
use crate::tunnel_tls;

/// Runs `target` over the files of a directory beside this package's manifest; how many there are.
fn over(directory: &Path, target: fn(&[u8])) -> usize {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut paths: Vec<_> = fs::read_dir(here)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    for path in &paths {
        // Shown if it panics.
        println!("{}", path.display());
        target(&fs::read(path).expect("a file"));
    }
    paths.len()
}

fn corpus(name: &str, target: fn(&[u8])) {
    let files = over(&Path::new("corpus").join(name), target);
    assert_ne!(files, 0, "{name} has no corpus");
}

#[test]
fn config_over_its_corpus_and_the_fixtures() {
    corpus("config", config::run);
    over(Path::new("../config"), config::run);
}

#[test]
fn import_over_its_corpus_and_the_fixtures() {
    corpus("import", import::run);
    over(Path::new("../import"), import::run);
}

#[test]
fn location_over_its_corpus() {
    corpus("location", location::run);
}

#[test]
fn engineio_over_its_corpus() {
    corpus("engineio", engineio::run);
}

#[test]
fn tunnel_over_its_corpus() {
    corpus("tunnel", tunnel::run);
}

#[test]
fn tunnel_tls_over_its_corpus() {
    corpus("tunnel_tls", tunnel_tls::run);
}

#[test]
fn request_and_connection_over_their_corpora_and_the_hostile_cases() {
    corpus("request", request::run);
    corpus("connection", connection::run);
    let cases = tempfile::tempdir().expect("a directory");
    assert!(seeds::write(cases.path()).expect("written") > 1000);
    over(&cases.path().join("request"), request::run);
    over(&cases.path().join("connection"), connection::run);
}
