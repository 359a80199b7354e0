//! What a person reads who made a mistake in `routes.yaml`: each `tests/config/NAME.yaml` has its exact output beside it.
//!
//! With `UPDATE_FIXTURES=1` the outputs are written instead of compared. Read them then: they are the product.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use rcgen::CertificateParams;
use rcgen::KeyPair;
use tempfile::TempDir;

/// How many fixtures there are, so that none is lost unseen.
const FIXTURES: usize = 135;

#[test]
fn each_mistake_has_its_exact_message() {
    let dir = directory_with_certificates();
    let mut names: Vec<PathBuf> = fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    names.sort();
    let mut different = String::new();
    for yaml in &names {
        let name = yaml.file_name().unwrap().to_str().unwrap();
        fs::copy(yaml, dir.path().join(name)).unwrap();
        let output = check(dir.path(), name);
        let printed = String::from_utf8(output.stderr).unwrap();
        let stderr = yaml.with_extension("stderr");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&stderr, &printed).unwrap();
        }
        let wanted = fs::read_to_string(&stderr).unwrap_or_default();
        if printed != wanted {
            different += &format!("--- {name}, wanted:\n{wanted}--- printed:\n{printed}\n");
        }
        let refused = wanted.contains(": error: ");
        assert_eq!(
            output.status.code(),
            Some(if refused { 2 } else { 0 }),
            "{name}"
        );
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            stdout.starts_with(&format!("{name}: ok: ")),
            !refused,
            "{name}: {stdout}"
        );
    }
    assert!(different.is_empty(), "{different}");
    assert_eq!(
        names.len(),
        FIXTURES,
        "a fixture was added or lost: change the number"
    );
}

#[test]
fn check_prints_how_much_it_read_and_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let text = "listen: [{ address: 0, tls: self_signed }, { address: 127.0.0.1:0 }]\n\
                routes: [{ location: /, proxy_pass: \"http://127.0.0.1:1\" }]\n";
    fs::write(dir.path().join("routes.yaml"), text).unwrap();
    let output = check(dir.path(), "routes.yaml");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "routes.yaml: ok: 2 listeners, 1 route\n"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let dir = directory_with_certificates();
    let text = "listen: [{ address: 0, tls: { cert: certs/good.pem, key: certs/gone.key } }]\n\
                routes: [{ location: /, proxy_pass: \"http://127.0.0.1:1\" }]\n";
    fs::write(dir.path().join("routes.yaml"), text).unwrap();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    let output = check(&dir.path().join("elsewhere"), "../routes.yaml");
    let printed = String::from_utf8(output.stderr).unwrap();
    let first = printed.lines().next();
    assert_eq!(
        first,
        Some("../routes.yaml:1:58: error: key ../certs/gone.key does not exist")
    );
}

/// Once, however many upstreams nobody vouches for.
#[test]
fn a_system_without_authorities_needs_a_ca() {
    let dir = TempDir::new().unwrap();
    let text = "listen: [{ address: 127.0.0.1:0 }]\nroutes:\n\
                \x20 - { location: /a, proxy_pass: \"https://127.0.0.1:1\" }\n\
                \x20 - { location: /b, proxy_pass: \"https://127.0.0.1:2\" }\n";
    fs::write(dir.path().join("routes.yaml"), text).unwrap();
    fs::write(dir.path().join("empty.pem"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsgate"));
    let output = command
        .arg("check")
        .current_dir(dir.path())
        .env("SSL_CERT_FILE", "empty.pem")
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        r#"routes.yaml:3:33: error: this system has no certificate authorities that could vouch for an upstream
  |
3 |   - { location: /a, proxy_pass: "https://127.0.0.1:1" }
  |                                 ^^^^^^^^^^^^^^^^^^^^^
  = help: install them (on Debian the package `ca-certificates`), or name a file with the certificate of the upstream's authority: `ca: certs/ca.pem`
"#
    );
}

#[test]
fn a_file_that_is_not_there_is_said_to_be_so() {
    let dir = TempDir::new().unwrap();
    assert_eq!(
        refusal(dir.path(), "routes.yaml"),
        "routes.yaml: error: there is no such file
  = help: name another one with `--config FILE`, or begin with
          listen:
            - address: 8080
          routes:
            - location: /socket.io
              proxy_pass: http://127.0.0.1:3000
"
    );
}

#[test]
fn a_directory_is_no_configuration() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    assert_eq!(
        refusal(dir.path(), "etc"),
        "etc: error: this is a directory\n  = help: `--config` takes a file\n"
    );
    fs::write(dir.path().join("etc/routes.yaml"), "").unwrap();
    assert_eq!(
        refusal(dir.path(), "etc"),
        "etc: error: this is a directory\n  = help: write `--config etc/routes.yaml`\n"
    );
}

#[test]
fn a_file_that_the_system_does_not_open_is_reported_with_its_reason() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(
        refusal(dir.path(), "file/routes.yaml"),
        "file/routes.yaml: error: the file cannot be read: not a directory\n  = help: is the path right?\n"
    );
}

#[test]
fn a_file_that_is_no_utf_8_is_refused_at_the_first_such_byte() {
    let dir = TempDir::new().unwrap();
    fs::write(
        dir.path().join("latin1.yaml"),
        b"listen:\n  - address: 8080 # f\xfcr alle\n",
    )
    .unwrap();
    assert_eq!(
        refusal(dir.path(), "latin1.yaml"),
        "latin1.yaml:2:22: error: byte 0xFC is no UTF-8
  |
2 |   - address: 8080 # f
  |                      ^
  = help: save the file as UTF-8
"
    );
    fs::write(dir.path().join("utf16.yaml"), b"\xff\xfea\x00").unwrap();
    assert_eq!(
        refusal(dir.path(), "utf16.yaml"),
        "utf16.yaml: error: the file is UTF-16, not UTF-8\n  = help: save the file as UTF-8\n"
    );
}

#[test]
fn an_alias_bomb_is_refused_quickly() {
    let dir = TempDir::new().unwrap();
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in ('b'..='z').zip('a'..='y') {
        text += &format!(
            "{name}: &{name} [{}]\n",
            vec![format!("*{of}"); 10].join(", ")
        );
    }
    fs::write(dir.path().join("bomb.yaml"), text).unwrap();
    let before = std::time::Instant::now();
    let printed = refusal(dir.path(), "bomb.yaml");
    assert!(
        printed.contains("the aliases of this file multiply to more than can be read"),
        "{printed}"
    );
    assert!(before.elapsed().as_secs() < 20);
}

fn refusal(dir: &Path, config: &str) -> String {
    let output = check(dir, config);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    String::from_utf8(output.stderr).unwrap()
}

fn check(dir: &Path, config: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsgate"));
    command
        .args(["check", "--config", config])
        .current_dir(dir)
        // Whether the machine knows any authorities must not matter.
        .env("SSL_CERT_FILE", dir.join("certs/good.pem"))
        .output()
        .unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

/// A directory with `certs/`: pairs that are good or not, each for one mistake.
fn directory_with_certificates() -> TempDir {
    let dir = TempDir::new().unwrap();
    let certs = dir.path().join("certs");
    fs::create_dir(&certs).unwrap();
    let write = |name: &str, content: &str, mode: u32| {
        let path = certs.join(name);
        fs::write(&path, content).unwrap();
        set_mode(&path, mode);
    };
    for (name, first_year, last_year) in [
        ("good", 2020, 2199),
        ("other", 2020, 2199),
        ("old", 2020, 2021),
        ("new", 2198, 2199),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![format!("{name}.localhost")]).unwrap();
        params.not_before = rcgen::date_time_ymd(first_year, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        write(
            &format!("{name}.pem"),
            &params.self_signed(&key).unwrap().pem(),
            0o644,
        );
        write(&format!("{name}.key"), &key.serialize_pem(), 0o600);
    }
    let wild = rcgen::generate_simple_self_signed(["*.wild.localhost".to_owned()]).unwrap();
    write("wild.pem", &wild.cert.pem(), 0o644);
    write("wild.key", &wild.signing_key.serialize_pem(), 0o600);
    let key = fs::read_to_string(certs.join("good.key")).unwrap();
    write("everyone.key", &key, 0o644);
    write("group.key", &key, 0o640);
    let good = fs::read_to_string(certs.join("good.pem")).unwrap();
    let old = fs::read_to_string(certs.join("old.pem")).unwrap();
    write("good_and_old.pem", &(good.clone() + &old), 0o644);
    write("cut.pem", &good[..good.len() / 2], 0o644);
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    write(
        "damaged.pem",
        &format!("{good}{begin}\nMAA=\n{end}\n"),
        0o644,
    );
    write(
        "request.pem",
        &good.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
        0o644,
    );
    let of_no_use = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
    let (list, parameters) = (of_no_use("X509 CRL"), of_no_use("DH PARAMETERS"));
    write("and_more.pem", &(good.clone() + &parameters), 0o644);
    write("and_more.key", &(key.clone() + &key), 0o600);
    write("and_list.pem", &(list + &good + &key), 0o600);
    write("note.txt", "to be done\n", 0o600);
    write("empty.pem", "", 0o600);
    write("cut.key", &key[..key.len() / 2], 0o600);
    dir
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}
