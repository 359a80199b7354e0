//! `wsgate import`: each `tests/import/NAME.conf` has beside it the exact `routes.yaml` and the exact words.
//!
//! With `UPDATE_FIXTURES=1` both are written instead of compared. Read them then: they are the product.

mod beside_nginx;
mod directives;
mod groups;
mod guards;
mod world;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use regex::Regex;
use tempfile::TempDir;

use crate::support::write_pair;

/// How many fixtures there are, so that none is lost unseen.
const FIXTURES: usize = 63;

#[test]
fn each_file_has_its_exact_routes_and_words() {
    let mut different = String::new();
    let names = names();
    for name in &names {
        let output = import(&[&format!("{name}.conf")]);
        let refused = name.starts_with("error_");
        let printed = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(if refused { 2 } else { 0 }),
            "{name}: {said}"
        );
        assert_eq!(printed.is_empty(), refused, "{name}: {printed}");
        for (ending, text) in [("yaml", &printed), ("stderr", &said)] {
            if ending == "yaml" && refused {
                continue;
            }
            let file = fixtures().join(format!("{name}.{ending}"));
            if std::env::var_os("UPDATE_FIXTURES").is_some() {
                fs::write(&file, text).unwrap();
            }
            let wanted = fs::read_to_string(&file).unwrap_or_default();
            if *text != wanted {
                different +=
                    &format!("--- {name}.{ending}, wanted:\n{wanted}--- printed:\n{text}\n");
            }
        }
        let strict = import(&["--strict", &format!("{name}.conf")]);
        let loses = said.contains(": not carried over: ");
        assert_eq!(
            strict.status.code(),
            Some(if refused || loses { 2 } else { 0 }),
            "{name}"
        );
        assert_eq!(strict.stdout.is_empty(), refused || loses, "{name}");
    }
    assert!(different.is_empty(), "{different}");
    assert_eq!(
        names.len(),
        FIXTURES,
        "a fixture was added or lost: change the number"
    );
}

/// Certificates are those of a machine that this is not, so that each is replaced by one that is there.
#[test]
fn every_import_passes_check_without_a_warning() {
    let dir = TempDir::new().unwrap();
    write_pair(dir.path());
    let mut checked = 0;
    for name in names().iter().filter(|name| !name.starts_with("error_")) {
        let yaml = fs::read_to_string(fixtures().join(format!("{name}.yaml"))).unwrap();
        fs::write(dir.path().join("routes.yaml"), with_certificates(&yaml)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_wsgate"))
            .arg("check")
            .current_dir(dir.path())
            // Whether the machine knows any authorities must not matter.
            .env("SSL_CERT_FILE", dir.path().join("cert.pem"))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        // The certificate that takes the place of all others has no name but localhost.
        let others = said
            .split("\n\n")
            .filter(|warning| !warning.contains("no certificate under `listen` is for the host"));
        // nginx's sockets are everybody's, which is worth a word where the proxy in front is believed.
        let others = others.filter(|warning| {
            name != "unix_tls" || !warning.contains("every user of this machine may connect to")
        });
        let others: Vec<&str> = others.filter(|warning| !warning.is_empty()).collect();
        assert!(others.is_empty(), "{name}: {said}\n{yaml}");
        assert_eq!(output.status.code(), Some(0), "{name}");
        checked += 1;
    }
    assert_eq!(checked, FIXTURES - 10);
}

#[test]
fn a_file_that_is_not_there_is_said_to_be_so() {
    for (name, message) in [
        ("none.conf", "there is no such file"),
        ("debian", "this is a directory"),
    ] {
        let output = import(&[name]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!(
                "{name}: error: {message}\n  = help: name nginx's main file, as in `wsgate import /etc/nginx/nginx.conf`\n"
            )
        );
        assert_eq!(output.stdout, b"");
    }
}

#[test]
fn files_that_include_each_other_come_to_an_end() {
    let dir = TempDir::new().unwrap();
    for number in 0..40 {
        let text = format!(
            "include {}.conf; include {}.conf;\n",
            number + 1,
            number + 1
        );
        fs::write(dir.path().join(format!("{number}.conf")), text).unwrap();
    }
    fs::write(dir.path().join("40.conf"), "server { return 404; }\n").unwrap();
    let imported = wsgate::nginx::import(&dir.path().join("0.conf")).unwrap();
    assert!(
        imported
            .left
            .iter()
            .any(|left| left.why.ends_with("more than 2000 files are included"))
    );
    fs::write(dir.path().join("0.conf"), vec![b'{'; 100_000]).unwrap();
    let refused = wsgate::nginx::import(&dir.path().join("0.conf"));
    assert!(matches!(
        refused,
        Err(wsgate::nginx::ImportError::Refused(_))
    ));
}

/// The names of the fixtures, sorted.
fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(fixtures())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".conf").map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

fn import(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsgate"));
    command
        .arg("import")
        .args(arguments)
        .current_dir(fixtures())
        .output()
        .unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

/// `yaml` with `cert.pem` and `key.pem` for every certificate.
fn with_certificates(yaml: &str) -> String {
    let pair = Regex::new(r"\{ cert: .*, key: .* \}").unwrap();
    let yaml = pair.replace_all(yaml, "{ cert: cert.pem, key: key.pem }");
    let ca = Regex::new(r"(?m)^    ca: .*$").unwrap();
    ca.replace_all(&yaml, "    ca: cert.pem").into_owned()
}
