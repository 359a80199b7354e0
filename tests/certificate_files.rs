//! Files of certificates and keys as people have them: what OpenSSL reads is read, and for every other form the message
//! names a command that makes a file which is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use tempfile::TempDir;

/// A folder with a pair for localhost in `good.pem` and `good.key`, made by OpenSSL.
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    openssl(
        dir.path(),
        "req -x509 -newkey rsa:2048 -nodes -keyout good.key -out good.pem -days 90 -subj /CN=localhost \
         -addext subjectAltName=DNS:localhost",
    );
    dir
}

fn openssl(dir: &Path, arguments: &str) -> Output {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments}: {output:?}");
    output
}

/// What `wsgate check` says of a pair: the exit code, and the lines of the message.
fn check(dir: &Path, cert: &str, key: &str) -> (Option<i32>, Vec<String>) {
    let yaml = format!(
        "listen: [{{ address: 0, tls: {{ cert: {cert}, key: {key} }} }}]\nroutes: [{{ location: /, return: 200 }}]\n"
    );
    fs::write(dir.join("routes.yaml"), yaml).unwrap();
    fs::set_permissions(dir.join(key), fs::Permissions::from_mode(0o600)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_wsgate"))
        .arg("check")
        .current_dir(dir)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (
        output.status.code(),
        said.lines().map(str::to_owned).collect(),
    )
}

/// Changes of a text that OpenSSL 3 reads.
#[test]
fn what_openssl_reads_is_read() {
    let dir = folder();
    let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
    let (cert, key) = (read("good.pem"), read("good.key"));
    for change in [
        |text: &str| format!("\u{feff}{text}"),
        |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n")),
        |text: &str| text.trim_end().to_owned(),
        |text: &str| format!("Bag Attributes\n    localKeyID: 01\n{text}"),
        |text: &str| text.replace('\n', "  \n"),
        |text: &str| {
            text.replace("BEGIN CERT", "BEGIN X509 CERT")
                .replace("END CERT", "END X509 CERT")
        },
    ] {
        fs::write(dir.path().join("a.pem"), change(&cert)).unwrap();
        fs::write(dir.path().join("a.key"), change(&key)).unwrap();
        openssl(dir.path(), "x509 -in a.pem -noout");
        openssl(dir.path(), "pkey -in a.key -noout");
        for (cert, key) in [
            ("a.pem", "good.key"),
            ("good.pem", "a.key"),
            ("a.pem", "a.key"),
        ] {
            let (code, said) = check(dir.path(), cert, key);
            assert_eq!((code, said), (Some(0), Vec::new()), "{cert} {key}");
        }
    }
}

/// The form, how OpenSSL makes it of the good pair, the value that takes it, and what is said of it.
const FORMS: [(&str, &str, &str, &str); 11] = [
    (
        "cert",
        "x509 -in good.pem -outform der -out a.pem",
        "a.pem",
        "certificate a.pem is a certificate in DER, not PEM",
    ),
    (
        "cert",
        "crl2pkcs7 -nocrl -certfile good.pem -outform der -out a.p7b",
        "a.p7b",
        "certificate a.p7b is PKCS #7, not PEM",
    ),
    (
        "cert",
        "crl2pkcs7 -nocrl -certfile good.pem -out a.p7b",
        "a.p7b",
        "certificate a.p7b holds no certificate, but `PKCS7`",
    ),
    (
        "cert",
        "pkcs12 -export -in good.pem -inkey good.key -passout pass: -out a.pfx",
        "a.pfx",
        "certificate a.pfx is PKCS #12, not PEM",
    ),
    (
        "key",
        "pkcs12 -export -in good.pem -inkey good.key -passout pass: -out a.pfx",
        "a.pfx",
        "key a.pfx is PKCS #12, not PEM",
    ),
    (
        "cert",
        "x509 -in good.pem -trustout -addtrust serverAuth -out a.pem",
        "a.pem",
        "certificate a.pem has a `TRUSTED CERTIFICATE` on line 1, which OpenSSL alone reads",
    ),
    (
        "key",
        "pkey -in good.key -outform der -out a.key",
        "a.key",
        "key a.key is a private key in DER, not PEM",
    ),
    (
        "key",
        "rsa -in good.key -traditional -outform der -out a.key",
        "a.key",
        "key a.key is a private key in DER, not PEM",
    ),
    (
        "key",
        "pkcs8 -topk8 -in good.key -passout pass:secret -outform der -out a.key",
        "a.key",
        "key a.key is a private key in DER, not PEM",
    ),
    (
        "key",
        "pkey -in good.key -aes256 -passout pass:secret -out a.key",
        "a.key",
        "key a.key is encrypted",
    ),
    (
        "key",
        "rsa -in good.key -traditional -aes256 -passout pass:secret -out a.key",
        "a.key",
        "key a.key is encrypted",
    ),
];

#[test]
fn every_other_form_is_named_and_the_command_beside_it_makes_a_file_that_is_read() {
    let dir = folder();
    for (role, made_by, file, message) in FORMS {
        openssl(dir.path(), made_by);
        converts(dir.path(), role, file, message);
    }
    let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
    for (role, good, file) in [("cert", "good.pem", "a.pem"), ("key", "good.key", "a.key")] {
        let text = read(good);
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let other: [(Vec<u8>, &str); 4] = [
            (
                wide(&format!("\u{feff}{text}")),
                "is UTF-16 (Notepad's \"Unicode\"), not PEM",
            ),
            (wide(&text), "is UTF-16 (Notepad's \"Unicode\"), not PEM"),
            (
                text.replace("-----", "—–-").into_bytes(),
                "is damaged: line 1 has `—` where `-` should be, as word processors write it",
            ),
            (
                text.replace('\n', "\\n").into_bytes(),
                "is damaged: line 1 has `\\n` where lines should end",
            ),
        ];
        for (content, message) in other {
            fs::write(dir.path().join(file), content).unwrap();
            let what = if role == "cert" { "certificate" } else { "key" };
            converts(dir.path(), role, file, &format!("{what} {file} {message}"));
        }
    }
}

/// Runs the command of the message about a file, and holds that what it makes is read.
fn converts(dir: &Path, role: &str, file: &str, message: &str) {
    let pair = |file| match role {
        "cert" => check(dir, file, "good.key"),
        _ => check(dir, "good.pem", file),
    };
    let (code, said) = pair(file);
    assert_eq!(code, Some(2), "{message}");
    assert!(
        said[0].ends_with(&format!(": error: {message}")),
        "{message}: {said:#?}"
    );
    let help = said.last().unwrap();
    let command = help.split('`').nth(1).unwrap();
    assert!(command.contains(file), "{help}");
    // What asks a person for a passphrase is told it.
    let answers = if message.ends_with("PKCS #12, not PEM") {
        " -passin pass:"
    } else if command.starts_with("openssl pkey") {
        " -passin pass:secret"
    } else {
        ""
    };
    let output = Command::new("sh")
        .args(["-c", &format!("{command}{answers}")])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    let ending = if message.ends_with("encrypted") {
        "plain"
    } else {
        "pem"
    };
    assert_eq!(
        pair(&format!("{file}.{ending}")),
        (Some(0), Vec::new()),
        "{command}"
    );
}
