//! Tests of reading pairs: what is served, and what is said about files that are not.

use std::fs;

use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::PKCS_ECDSA_P256_SHA256;
use rcgen::PKCS_ECDSA_P384_SHA384;
use rcgen::PKCS_ECDSA_P521_SHA512;
use rcgen::PKCS_ED25519;
use rcgen::PKCS_RSA_SHA256;
use rcgen::SanType;
use rcgen::date_time_ymd;
use tempfile::TempDir;

use crate::tls::certificate::Certificate;
use crate::tls::certificate_error::CertificateError;
use crate::tls::file_fault::FileFault;
use crate::tls::given_file::Concerns;
use crate::tls::given_file::GivenFile;
use crate::tls::test_support::load;
use crate::tls::test_support::make;
use crate::tls::test_support::make_with;
use crate::tls::test_support::now;

/// A directory for one pair, which errors call by names without the directory.
struct Pair {
    dir: TempDir,
}

impl Pair {
    fn of(cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        let pair = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::write(pair.dir.path().join("chat.pem"), cert).unwrap();
        fs::write(pair.dir.path().join("chat.key"), key).unwrap();
        pair
    }

    fn load(&self) -> Result<Certificate, CertificateError> {
        Certificate::load(
            &self.dir.path().join("chat.pem"),
            &self.dir.path().join("chat.key"),
            now(),
        )
    }

    /// The error: which value it is about, its message and its help.
    fn refused(&self) -> (Concerns, String, String) {
        let error = self.load().unwrap_err();
        let dir = format!("{}/", self.dir.path().display());
        let short = |text: String| text.replace(&dir, "");
        (
            error.concerns(),
            short(error.to_string()),
            short(error.help()),
        )
    }
}

fn good() -> (String, String) {
    let (cert, key) = make(&["chat.example"], &PKCS_ECDSA_P256_SHA256);
    (cert.pem(), key.serialize_pem())
}

fn section(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        base64(der)
    )
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let value = group
            .iter()
            .fold(0, |value, byte| value << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(value >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

fn said(concerns: Concerns, message: &str, help: &str) -> (Concerns, String, String) {
    (concerns, message.to_owned(), help.to_owned())
}

const CERT_HELP: &str = "give a PEM file with `-----BEGIN CERTIFICATE-----` in it";
const KEY_HELP: &str = "give a PEM file with `-----BEGIN PRIVATE KEY-----` in it";

#[test]
fn every_kind_of_key_in_every_form_is_served() {
    for algorithm in [
        &PKCS_RSA_SHA256,
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ECDSA_P521_SHA512,
        &PKCS_ED25519,
    ] {
        let (cert, key) = make(&["chat.example"], algorithm);
        Pair::of(cert.pem(), key.serialize_pem()).load().unwrap();
    }
    // What PKCS #8 wraps, behind its header of fixed length, is PKCS #1 and SEC 1.
    let (cert, key) = make(&["chat.example"], &PKCS_RSA_SHA256);
    let pkcs1 = &key.serialized_der()[26..];
    assert_eq!(pkcs1[..2], [0x30, 0x82]);
    Pair::of(cert.pem(), section("RSA PRIVATE KEY", pkcs1))
        .load()
        .unwrap();
    let (cert, key) = make(&["chat.example"], &PKCS_ECDSA_P256_SHA256);
    let sec1 = &key.serialized_der()[29..];
    assert_eq!(sec1[..1], [0x30]);
    // `openssl ecparam -genkey` writes the curve before the key.
    let key = section("EC PARAMETERS", b"curve") + &section("EC PRIVATE KEY", sec1);
    Pair::of(cert.pem(), key).load().unwrap();
}

#[test]
fn one_file_may_be_both() {
    let (cert, key) = good();
    for both in [format!("{cert}{key}"), format!("{key}{cert}")] {
        Pair::of(&both, &both).load().unwrap();
    }
}

#[test]
fn names_are_dns_in_lower_case_then_addresses() {
    let (cert, key) = make(
        &["::1", "Chat.Example", "10.0.0.1", "*.chat.example"],
        &PKCS_ECDSA_P256_SHA256,
    );
    let pair = Pair::of(cert.pem(), key.serialize_pem());
    assert_eq!(
        pair.load().unwrap().names(),
        ["chat.example", "*.chat.example", "::1", "10.0.0.1"]
    );
}

#[test]
fn without_other_names_the_common_name_counts_if_it_is_a_host() {
    for (common_name, names) in [
        ("Chat.Example", &["chat.example"][..]),
        ("*.chat.example", &["*.chat.example"]),
        ("Somebody & Sons", &[]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let named = |sans: Vec<SanType>| {
            make_with(&PKCS_ECDSA_P256_SHA256, |params| {
                params
                    .distinguished_name
                    .push(DnType::CommonName, common_name);
                params.subject_alt_names = sans;
            })
        };
        assert_eq!(load(dir.path(), &named(Vec::new())).names(), names);
        let other = SanType::DnsName("other.example".try_into().unwrap());
        assert_eq!(
            load(dir.path(), &named(vec![other])).names(),
            ["other.example"]
        );
    }
}

#[test]
fn its_facts_and_no_key_show() {
    let (cert, key) = make_with(&PKCS_ECDSA_P256_SHA256, |params| {
        params.not_after = date_time_ymd(2027, 1, 2)
    });
    let pair = Pair::of(cert.pem(), key.serialize_pem());
    let loaded = pair.load().unwrap();
    assert_eq!(loaded.not_after(), date_time_ymd(2027, 1, 2));
    assert_eq!(loaded.path(), pair.dir.path().join("chat.pem"));
    assert_eq!(
        format!("{loaded:?}"),
        format!(
            "Certificate {{ path: {:?}, names: [], not_after: 2027-01-02 0:00:00.0 +00:00:00, .. }}",
            loaded.path()
        )
    );
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_noticed() {
    use std::os::unix::fs::PermissionsExt;
    let (cert, key) = good();
    let pair = Pair::of(cert, key);
    for (mode, noticed) in [
        (0o600, None),
        (0o400, None),
        (0o700, None),
        (0o640, Some(0o640)),
        (0o604, Some(0o604)),
        (0o644, Some(0o644)),
    ] {
        fs::set_permissions(
            pair.dir.path().join("chat.key"),
            fs::Permissions::from_mode(mode),
        )
        .unwrap();
        assert_eq!(
            pair.load().unwrap().key_mode_too_open(),
            noticed,
            "{mode:o}"
        );
    }
}

#[test]
fn a_missing_file_is_named_as_it_was_tried() {
    let (cert, key) = good();
    let help = "a relative path is relative to the file that names it";
    let pair = Pair::of(&cert, &key);
    fs::remove_file(pair.dir.path().join("chat.key")).unwrap();
    assert_eq!(
        pair.refused(),
        said(Concerns::Key, "key chat.key does not exist", help)
    );
    fs::remove_file(pair.dir.path().join("chat.pem")).unwrap();
    assert_eq!(
        pair.refused(),
        said(Concerns::Cert, "certificate chat.pem does not exist", help)
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let (cert, key) = good();
    let pair = Pair::of(cert, key);
    fs::remove_file(pair.dir.path().join("chat.key")).unwrap();
    fs::create_dir(pair.dir.path().join("chat.key")).unwrap();
    assert_eq!(
        pair.refused(),
        said(
            Concerns::Key,
            "cannot read key chat.key: is a directory",
            KEY_HELP
        )
    );
    let denied = CertificateError::of(&GivenFile::of_key("chat.key".as_ref()))(
        FileFault::Unreadable(std::io::Error::from_raw_os_error(13)),
    );
    assert_eq!(
        denied.to_string(),
        "cannot read key chat.key: permission denied"
    );
    assert_eq!(
        denied.help(),
        "let the user that runs wsgate read this file"
    );
}

#[test]
fn what_is_no_pem_is_said_to_be_none() {
    let (cert, key) = good();
    assert_eq!(
        Pair::of(" \n", &key).refused(),
        said(Concerns::Cert, "certificate chat.pem is empty", CERT_HELP)
    );
    assert_eq!(
        Pair::of("hello", &key).refused(),
        said(Concerns::Cert, "certificate chat.pem is not PEM", CERT_HELP)
    );
    assert_eq!(
        Pair::of(&cert, "hello").refused(),
        said(Concerns::Key, "key chat.key is not PEM", KEY_HELP)
    );
    let (der_cert, der_key) = make(&["chat.example"], &PKCS_ECDSA_P256_SHA256);
    assert_eq!(
        Pair::of(der_cert.der(), &key).refused(),
        said(
            Concerns::Cert,
            "certificate chat.pem is a certificate in DER, not PEM",
            "make PEM of it: `openssl x509 -inform der -in chat.pem -out chat.pem.pem`"
        )
    );
    assert_eq!(
        Pair::of(&cert, der_key.serialized_der()).refused(),
        said(
            Concerns::Key,
            "key chat.key is a private key in DER, not PEM",
            "make PEM of it: `openssl pkey -inform der -in chat.key -out chat.key.pem`"
        )
    );
    assert_eq!(
        Pair::of(&cert, der_cert.der()).refused(),
        said(
            Concerns::Key,
            "key chat.key is a certificate in DER, not PEM",
            "are `cert` and `key` swapped? Both must be PEM"
        )
    );
}

/// A change of a text that must make no difference.
type Change<'c> = &'c dyn Fn(&str) -> String;

#[test]
fn what_editors_and_tools_put_around_a_block_is_read() {
    let (cert, key) = good();
    let bom = |text: &str| format!("\u{feff}{text}");
    let indented = |text: &str| text.lines().map(|line| format!(" \t{line}  \n")).collect();
    let changes: [(&str, Change<'_>); 8] = [
        ("a byte order mark", &bom),
        ("CRLF", &|text| text.replace('\n', "\r\n")),
        ("both", &|text| bom(&text.replace('\n', "\r\n"))),
        ("CR alone", &|text| text.replace('\n', "\r")),
        ("white space around lines", &indented),
        ("empty lines", &|text| {
            format!("\n\n{}\n\n", text.replace('\n', "\n\n"))
        }),
        ("no last line end", &|text| text.trim_end().to_owned()),
        ("text around it", &|text| {
            format!("Bag Attributes\n    friendlyName: chat -- 5\n{text}END of it all\n")
        }),
    ];
    for (name, change) in changes {
        let loaded = Pair::of(change(&cert), change(&key)).load();
        let loaded = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(loaded.passed_over(), [], "{name}");
    }
    // Each block behind the first has one too, where such files were put one behind the other.
    let two = [bom(&cert), bom(&cert)].concat();
    let loaded = Pair::of(two, &key).load().unwrap();
    assert_eq!(loaded.certified().cert.len(), 2);
    let old = cert.replace(" CERTIFICATE", " X509 CERTIFICATE");
    Pair::of(old, &key).load().unwrap();
}

#[test]
fn utf_16_is_named_with_or_without_its_mark() {
    let (cert, key) = good();
    let wide = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    };
    for (content, name) in [
        (wide(&format!("\u{feff}{cert}"), u16::to_le_bytes), "UTF-16"),
        (wide(&format!("\u{feff}{cert}"), u16::to_be_bytes), "UTF-16"),
        (wide(&cert, u16::to_le_bytes), "UTF-16LE"),
        (wide(&cert, u16::to_be_bytes), "UTF-16BE"),
    ] {
        assert_eq!(
            Pair::of(content, &key).refused(),
            said(
                Concerns::Cert,
                "certificate chat.pem is UTF-16 (Notepad's \"Unicode\"), not PEM",
                &format!(
                    "save it as ANSI or UTF-8, or make PEM of it: `iconv -f {name} -t UTF-8 chat.pem -o chat.pem.pem`"
                )
            )
        );
    }
}

#[test]
fn a_file_of_many_megabytes_is_not_read() {
    let (cert, key) = good();
    let text = "x\n".repeat(2 << 20);
    Pair::of(format!("{}{cert}", &text[cert.len()..]), &key)
        .load()
        .unwrap();
    assert_eq!(
        Pair::of(format!("{text}{cert}"), &key).refused(),
        said(
            Concerns::Cert,
            "certificate chat.pem is larger than 4 MiB",
            "is it the right file? one with a certificate has a few KiB"
        )
    );
}

#[test]
fn a_block_that_is_of_no_use_is_named() {
    let (cert, key) = good();
    let other = KeyPair::generate().unwrap().serialize_pem();
    let parameters = section("DH PARAMETERS", b"parameters");
    let request = section("CERTIFICATE REQUEST", b"request");
    let named = |cert: &str, key: &str| {
        let pair = Pair::of(cert, key);
        let dir = format!("{}/", pair.dir.path().display());
        let loaded = pair.load().unwrap();
        let named = loaded.passed_over().iter();
        named
            .map(|block| (block.to_string().replace(&dir, ""), block.help()))
            .collect::<Vec<_>>()
    };
    let lines = |text: &str| text.lines().count();
    assert_eq!(
        named(&format!("{request}{cert}{parameters}"), &key),
        [
            (
                "certificate chat.pem has a block that is passed over: `CERTIFICATE REQUEST` on line 1".to_owned(),
                "take it out, or is it the wrong file?"
            ),
            (
                format!(
                    "certificate chat.pem has a block that is passed over: `DH PARAMETERS` on line {}",
                    lines(&request) + lines(&cert) + 1
                ),
                "take it out: all key exchanges here are elliptic, and need none"
            )
        ]
    );
    // The first key is the one that OpenSSL takes.
    let encrypted = section("ENCRYPTED PRIVATE KEY", b"key");
    assert_eq!(
        named(&cert, &format!("{encrypted}{key}{other}")),
        [
            (
                "key chat.key has a block that is passed over: `ENCRYPTED PRIVATE KEY` on line 1"
                    .to_owned(),
                "take it out, or give it a file of its own: one key belongs to one certificate"
            ),
            (
                format!(
                    "key chat.key has a block that is passed over: `PRIVATE KEY` on line {}",
                    lines(&encrypted) + lines(&key) + 1
                ),
                "take it out, or give it a file of its own: one key belongs to one certificate"
            )
        ]
    );
    let both = format!("{key}{cert}{parameters}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("both.pem");
    fs::write(&path, both).unwrap();
    let loaded = Certificate::load(&path, &path, now()).unwrap();
    assert_eq!(loaded.passed_over().len(), 1, "once");
}

#[test]
fn damaged_pem_is_described_and_never_quoted() {
    let (cert, key) = good();
    let end = "-----END PRIVATE KEY-----";
    let secret = key.lines().nth(1).unwrap();
    let of_its_own = "begin a new line before each `-----BEGIN` and `-----END`, and one behind it";
    let sed = "put them right: `sed 's/[–—-]\\{1,\\}/-----/g' chat.key > chat.key.pem`";
    for (damaged, message, help) in [
        (
            key.replace(end, ""),
            "the line `-----END …-----` is missing for the block on line 1",
            KEY_HELP,
        ),
        (
            key.replace(end, "-----END RSA PRIVATE KEY-----"),
            "the line `-----END …-----` is missing for the block on line 1",
            KEY_HELP,
        ),
        (
            key.replace(end, "") + &key,
            "the line `-----END …-----` is missing for the block on line 1",
            KEY_HELP,
        ),
        (
            key.lines()
                .skip(1)
                .map(|line| format!("{line}\n"))
                .collect(),
            "the line `-----BEGIN …-----` is missing for the end on line 4",
            KEY_HELP,
        ),
        (
            key.replace('\n', ""),
            "a `-----BEGIN …-----` or `-----END …-----` on line 1 is not a line of its own",
            of_its_own,
        ),
        (
            format!("key: {key}"),
            "a `-----BEGIN …-----` or `-----END …-----` on line 1 is not a line of its own",
            of_its_own,
        ),
        (
            // A no-break space, as from a web page.
            format!("\u{a0}{key}"),
            "a `-----BEGIN …-----` or `-----END …-----` on line 1 is not a line of its own",
            of_its_own,
        ),
        (
            key.trim_end().to_owned() + &key,
            "a `-----BEGIN …-----` or `-----END …-----` on line 5 is not a line of its own",
            of_its_own,
        ),
        (
            key.replace('\n', "\\n"),
            "line 1 has `\\n` where lines should end",
            "make lines of them: `sed 's/\\\\n/\\n/g' chat.key > chat.key.pem`",
        ),
        (
            key.replace("-----", "—–-"),
            "line 1 has `—` where `-` should be, as word processors write it",
            sed,
        ),
        (
            key.replace("-----END", "——END"),
            "line 5 has `—` where `-` should be, as word processors write it",
            sed,
        ),
        (
            key.replace("-----BEGIN", "----BEGIN"),
            "line 1 has not five `-` at its beginning and five at its end",
            "write `-----BEGIN …-----` and `-----END …-----` with five each",
        ),
        (
            key.replacen("KEY-----", "KEY", 1),
            "line 1 has not five `-` at its beginning and five at its end",
            "write `-----BEGIN …-----` and `-----END …-----` with five each",
        ),
        (
            key.replace("-----END", "END"),
            "line 5 has not five `-` at its beginning and five at its end",
            "write `-----BEGIN …-----` and `-----END …-----` with five each",
        ),
        (
            key.replace("-----BEGIN", "----- BEGIN"),
            "line 1 has not five `-` at its beginning and five at its end",
            "write `-----BEGIN …-----` and `-----END …-----` with five each",
        ),
        (
            key.replace(secret, "*"),
            "what it encloses is not base64 on line 2",
            KEY_HELP,
        ),
        (
            key.replace(secret, &format!("name: {secret}")),
            "what it encloses is not base64 on line 2",
            KEY_HELP,
        ),
        (
            key.replace(secret, &format!("{}=", &secret[1..])),
            "what it encloses is not base64 on line 1",
            KEY_HELP,
        ),
    ] {
        let pair = Pair::of(&cert, &damaged);
        let message = format!("key chat.key is damaged: {message}");
        assert_eq!(pair.refused(), said(Concerns::Key, &message, help));
        let debug = format!("{:?}", pair.load().unwrap_err());
        assert!(
            !debug.contains(secret) && !debug.contains("45, 45"),
            "{debug}"
        );
    }
    let cut = cert.replace("-----END", "-----ENDE");
    assert_eq!(
        Pair::of(cut, &key).refused(),
        said(
            Concerns::Cert,
            "certificate chat.pem is damaged: the line `-----END …-----` is missing for the block on line 1",
            CERT_HELP
        )
    );
}

#[test]
fn pem_of_another_kind_is_told_from_the_two_being_swapped() {
    let (cert, key) = good();
    const REQUEST: &str =
        "a request is what an authority is asked with: give the certificate that it answered with";
    for (label, help) in [
        ("CERTIFICATE REQUEST", REQUEST),
        ("NEW CERTIFICATE REQUEST", REQUEST),
        (
            "PKCS7",
            "make PEM of it: `openssl pkcs7 -print_certs -in chat.pem -out chat.pem.pem`",
        ),
        ("X509 CRL", CERT_HELP),
        ("DH PARAMETERS", CERT_HELP),
    ] {
        assert_eq!(
            Pair::of(section(label, b"content"), &key).refused(),
            said(
                Concerns::Cert,
                &format!("certificate chat.pem holds no certificate, but `{label}`"),
                help
            )
        );
    }
    for (label, help) in [
        (
            "OPENSSH PRIVATE KEY",
            "make PEM of it, in its place: `ssh-keygen -p -N '' -m pem -f chat.key`",
        ),
        (
            "EC PARAMETERS",
            "this is the curve alone, the key itself is missing",
        ),
        (
            "RSA PUBLIC KEY",
            "this is the public half: give the private key that it was made from",
        ),
        (
            "DSA PRIVATE KEY",
            "no TLS of today has DSA: make a new key, and have a certificate issued for it",
        ),
        ("CERTIFICATE REQUEST", KEY_HELP),
    ] {
        assert_eq!(
            Pair::of(&cert, section(label, b"content")).refused(),
            said(
                Concerns::Key,
                &format!("key chat.key holds no private key, but `{label}`"),
                help
            )
        );
    }
    // Behind another certificate it would be missing in the chain.
    let trusted = section("TRUSTED CERTIFICATE", b"content");
    for (content, line) in [
        (trusted.clone(), 1),
        (cert.clone() + &trusted, cert.lines().count() + 1),
    ] {
        assert_eq!(
            Pair::of(content, &key).refused(),
            said(
                Concerns::Cert,
                &format!(
                    "certificate chat.pem has a `TRUSTED CERTIFICATE` on line {line}, which OpenSSL alone reads"
                ),
                "make PEM of it: `openssl x509 -in chat.pem -out chat.pem.pem`"
            )
        );
    }
    let swapped = "are `cert` and `key` swapped?";
    for key_form in [&key, &section("ENCRYPTED PRIVATE KEY", b"key")] {
        assert_eq!(
            Pair::of(key_form, &cert).refused(),
            said(
                Concerns::Cert,
                "certificate chat.pem holds a private key, no certificate",
                swapped
            )
        );
    }
    assert_eq!(
        Pair::of(&cert, &cert).refused(),
        said(
            Concerns::Key,
            "key chat.key holds a certificate, no private key",
            swapped
        )
    );
}

#[test]
fn an_encrypted_key_comes_with_the_command_that_decrypts_it() {
    let older = section("RSA PRIVATE KEY", b"key").replacen(
        '\n',
        "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n",
        1,
    );
    for key in [section("ENCRYPTED PRIVATE KEY", b"key"), older] {
        assert_eq!(
            Pair::of(good().0, key).refused(),
            said(
                Concerns::Key,
                "key chat.key is encrypted",
                "wsgate cannot ask for the passphrase: make a key without one with \
                 `openssl pkey -in chat.key -out chat.key.plain` and name that"
            )
        );
    }
}

#[test]
fn a_key_that_tls_cannot_use_is_refused() {
    assert_eq!(
        Pair::of(good().0, section("PRIVATE KEY", b"nonsense")).refused(),
        said(
            Concerns::Key,
            "key chat.key is damaged or of a kind that is not served",
            "a key can be RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
        )
    );
}

#[test]
fn a_certificate_that_is_none_is_counted() {
    let (cert, key) = make(&["chat.example"], &PKCS_ECDSA_P256_SHA256);
    let trailing = [cert.der().as_ref(), b"more"].concat();
    for bad in [b"nonsense".to_vec(), trailing] {
        for (chain, number) in [
            (section("CERTIFICATE", &bad), 1),
            (cert.pem() + &section("CERTIFICATE", &bad), 2),
        ] {
            assert_eq!(
                Pair::of(chain, key.serialize_pem()).refused(),
                said(
                    Concerns::Cert,
                    &format!("certificate chat.pem is damaged: number {number} in it"),
                    "get the file again from where it was issued"
                )
            );
        }
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_RSA_SHA256] {
        let other = KeyPair::generate_for(algorithm).unwrap();
        assert_eq!(
            Pair::of(good().0, other.serialize_pem()).refused(),
            said(
                Concerns::Key,
                "key chat.key does not belong to certificate chat.pem",
                "give the key that the certificate was made with"
            )
        );
    }
}

#[test]
fn a_chain_that_begins_with_the_issuer_is_refused_and_the_right_order_served() {
    let (issuer, issuer_key) = make_with(&PKCS_ECDSA_P256_SHA256, |params| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let issuer_of = Issuer::new(rcgen::CertificateParams::default(), issuer_key);
    let key = KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(["chat.example".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer_of).unwrap();
    let right = Pair::of(leaf.pem() + &issuer.pem(), key.serialize_pem())
        .load()
        .unwrap();
    assert_eq!(
        right.certified().cert,
        [leaf.der().clone(), issuer.der().clone()]
    );
    assert_eq!(
        Pair::of(issuer.pem() + &leaf.pem(), key.serialize_pem()).refused(),
        said(
            Concerns::Cert,
            "certificate chat.pem is in the wrong order: key chat.key belongs to number 2 in it",
            "put the server's own certificate first, then the one that issued it, and so on"
        )
    );
}

#[test]
fn dates_are_told_in_utc_and_the_last_second_still_counts() {
    let dated = |from, to| {
        let (cert, key) = make_with(&PKCS_ECDSA_P256_SHA256, |params| {
            (params.not_before, params.not_after) = (from, to);
        });
        Pair::of(cert.pem(), key.serialize_pem())
    };
    let (long_ago, far_off) = (date_time_ymd(2019, 1, 1), date_time_ymd(2099, 1, 1));
    // 23:30 in UTC, and already the next day where this is written.
    let late = date_time_ymd(2020, 1, 1) + time::Duration::minutes(23 * 60 + 30);
    let late = late.to_offset(time::UtcOffset::from_hms(2, 0, 0).unwrap());
    assert_eq!(
        dated(long_ago, late).refused(),
        said(
            Concerns::Cert,
            "certificate chat.pem expired on 2020-01-01",
            "renew it: clients refuse it"
        )
    );
    assert_eq!(
        dated(date_time_ymd(2030, 5, 6), far_off).refused(),
        said(
            Concerns::Cert,
            "certificate chat.pem is not valid before 2030-05-06",
            "clients refuse it until then; is this machine's clock right?"
        )
    );
    dated(long_ago, now()).load().unwrap();
    dated(now(), far_off).load().unwrap();
    let second = time::Duration::SECOND;
    assert!(matches!(
        dated(long_ago, now() - second).load(),
        Err(CertificateError::Expired { .. })
    ));
    assert!(matches!(
        dated(now() + second, far_off).load(),
        Err(CertificateError::NotYetValid { .. })
    ));
}
