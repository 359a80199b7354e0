//! One certificate with its chain and its key, read from two PEM files and checked.
//!
//! A [`Certificate`] is proof: the files were readable, the key belongs to the first certificate, and that is in date.
//! Clients decide whether they trust its issuer; the chain's other certificates are passed on as they are.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls::sign::SigningKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::pem::SectionKind;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::tls::certificate_error::CertificateError;
use crate::tls::given_file::Concerns;
use crate::tls::given_file::GivenFile;
use crate::tls::pem::PemFile;

/// A certificate with its chain and its key, which were checked: both files could be read, they belong together, and
/// the certificate is in date.
#[derive(Clone)]
pub struct Certificate {
    path: PathBuf,
    key_path: PathBuf,
    names: Vec<String>,
    not_after: OffsetDateTime,
    key_mode: Option<u32>,
    certified: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads the chain at `cert` (the server's own certificate first) and its key at `key` (PKCS #8, PKCS #1 or
    /// SEC 1), both PEM, as nginx's `ssl_certificate` and `ssl_certificate_key`. Both may be the same file.
    ///
    /// `now` decides whether the server's own certificate is in date. The dates of the others are not looked at: a
    /// client may know another way to a root.
    ///
    /// # Errors
    /// The first reason for which clients could not be served, those of `cert` before those of `key`.
    pub fn load(cert: &Path, key: &Path, now: OffsetDateTime) -> Result<Self, CertificateError> {
        let chain = read_chain(cert)?;
        let (signing_key, key_mode) = read_key(key)?;
        let parsed = parse_chain(cert, &chain)?;
        match parsed
            .iter()
            .position(|x509| belongs(signing_key.as_ref(), x509))
        {
            Some(0) => {}
            Some(index) => {
                return Err(CertificateError::WrongOrder {
                    cert: cert.to_owned(),
                    key: key.to_owned(),
                    number: index + 1,
                });
            }
            None => {
                return Err(CertificateError::Mismatch {
                    cert: cert.to_owned(),
                    key: key.to_owned(),
                });
            }
        }
        let not_after = check_dates(cert, &parsed[0], now)?;
        let names = names(&parsed[0]);
        drop(parsed);
        let certified = Arc::new(CertifiedKey::new(chain, signing_key));
        Ok(Self {
            path: cert.to_owned(),
            key_path: key.to_owned(),
            names,
            not_after,
            key_mode,
            certified,
        })
    }

    /// The names that the certificate is for, in lower case: DNS names, then IP addresses as text. A certificate
    /// without either, as was usual long ago, is for its common name if that is a host's name.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The last moment at which clients accept the certificate.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// The permission bits of the key's file when its group or others may read it, for instance `0o644`; `None`
    /// otherwise, and where files have no such bits.
    pub fn key_mode_too_open(&self) -> Option<u32> {
        self.key_mode.filter(|mode| mode & 0o044 != 0)
    }

    /// The file of the certificate, as it was given to [`Certificate::load`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the key, as it was given to [`Certificate::load`].
    pub fn key_path(&self) -> &Path {
        &self.key_path
    }

    /// Whether clients are shown one and the same chain, whatever files both were read from. The key is then the same
    /// too.
    pub fn shows_the_same_as(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }

    /// The chain that rustls sends and the key that it signs with.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("path", &self.path)
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// The certificates in a file, in its order, at least one.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let file = GivenFile {
        concerns: Concerns::Cert,
        path: path.to_owned(),
    };
    let pem = PemFile::read(&file)?;
    let sections = pem.sections(&file)?;
    let holds_key = pem.has_encrypted_key() || sections.iter().any(|(kind, _)| is_key(*kind));
    let sections = sections.into_iter();
    let chain: Vec<_> = sections
        .filter_map(|(kind, der)| CertificateDer::from_pem(kind, der))
        .collect();
    if !chain.is_empty() {
        Ok(chain)
    } else if holds_key {
        Err(CertificateError::WrongKind(file))
    } else {
        Err(CertificateError::NothingInside(file))
    }
}

/// Each certificate of the `chain` that was read from the file `cert`.
fn parse_chain<'c>(
    cert: &Path,
    chain: &'c [CertificateDer<'static>],
) -> Result<Vec<X509Certificate<'c>>, CertificateError> {
    let mut parsed = Vec::with_capacity(chain.len());
    for (index, der) in chain.iter().enumerate() {
        let Ok(([], x509)) = X509Certificate::from_der(der) else {
            return Err(CertificateError::BadCertificate {
                cert: cert.to_owned(),
                number: index + 1,
            });
        };
        parsed.push(x509);
    }
    Ok(parsed)
}

/// The last moment of the certificate `x509` from the file `cert`, which must be in date at `now`.
fn check_dates(
    cert: &Path,
    x509: &X509Certificate<'_>,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, CertificateError> {
    let not_before = x509.validity().not_before.to_datetime();
    let not_after = x509.validity().not_after.to_datetime();
    // The period includes both of its ends (RFC 5280 §4.1.2.5).
    if now > not_after {
        return Err(CertificateError::Expired {
            cert: cert.to_owned(),
            not_after,
        });
    }
    if now < not_before {
        return Err(CertificateError::NotYetValid {
            cert: cert.to_owned(),
            not_before,
        });
    }
    Ok(not_after)
}

/// The first private key in a file, and the file's permission bits.
fn read_key(path: &Path) -> Result<(Arc<dyn SigningKey>, Option<u32>), CertificateError> {
    let file = GivenFile {
        concerns: Concerns::Key,
        path: path.to_owned(),
    };
    let pem = PemFile::read(&file)?;
    let sections = match pem.sections(&file) {
        // OpenSSL's older form of encryption is a field inside a section, which is no base64.
        Err(_) if pem.has_encrypted_key() => Vec::new(),
        sections => sections?,
    };
    let holds_certificate = sections
        .iter()
        .any(|(kind, _)| *kind == SectionKind::Certificate);
    let key = sections
        .into_iter()
        .find_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der));
    match key.map(|der| any_supported_type(&der)) {
        Some(Ok(key)) => Ok((key, pem.mode)),
        // The error of rustls lists the kinds that it tried, and says nothing about this key.
        Some(Err(_)) => Err(CertificateError::UnsupportedKey { key: file.path }),
        None if pem.has_encrypted_key() => Err(CertificateError::EncryptedKey { key: file.path }),
        None if holds_certificate => Err(CertificateError::WrongKind(file)),
        None => Err(CertificateError::NothingInside(file)),
    }
}

fn is_key(kind: SectionKind) -> bool {
    matches!(
        kind,
        SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey
    )
}

/// Whether `key` is the private half of the key in `x509`; true if `key` cannot tell.
fn belongs(key: &dyn SigningKey, x509: &X509Certificate<'_>) -> bool {
    key.public_key()
        .is_none_or(|public| public.as_ref() == x509.public_key().raw)
}

/// The DNS names, then the IP addresses, that the certificate says it is for (RFC 5280 §4.2.1.6).
pub(super) fn alternative_names(x509: &X509Certificate<'_>) -> Vec<String> {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    if let Ok(Some(extension)) = x509.subject_alternative_name() {
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
    }
    names.extend(addresses);
    names
}

/// The names that the certificate is for: the alternative ones, or without any the common name if that is a host's.
fn names(x509: &X509Certificate<'_>) -> Vec<String> {
    let mut names = alternative_names(x509);
    if names.is_empty() {
        let common_names = x509
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok());
        names.extend(
            common_names
                .filter(|name| is_host(name))
                .map(str::to_ascii_lowercase),
        );
    }
    names
}

/// An IP address of 4 or 16 bytes, as text.
fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6).ok().map(|address| address.to_string())
}

/// Whether `name` is a host's name, or `*.` and one.
fn is_host(name: &str) -> bool {
    ServerName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
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
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
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
        let denied = CertificateError::Unreadable {
            file: GivenFile {
                concerns: Concerns::Key,
                path: "chat.key".into(),
            },
            source: std::io::Error::from_raw_os_error(13),
        };
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
                "certificate chat.pem is not PEM",
                "make PEM of it: `openssl x509 -inform der -in chat.pem -out chat.pem.pem`, \
                 or if it is PKCS #12 `openssl pkcs12 -nokeys -in chat.pem -out chat.pem.pem`"
            )
        );
        assert_eq!(
            Pair::of(&cert, der_key.serialized_der()).refused(),
            said(
                Concerns::Key,
                "key chat.key is not PEM",
                "make PEM of it: `openssl pkey -inform der -in chat.key -out chat.key.pem`, \
                 or if it is PKCS #12 `openssl pkcs12 -nocerts -nodes -in chat.key -out chat.key.pem`"
            )
        );
    }

    #[test]
    fn damaged_pem_is_described_and_never_quoted() {
        let (cert, key) = good();
        let end = "-----END PRIVATE KEY-----";
        let secret = key.lines().nth(1).unwrap();
        for (damaged, message) in [
            (
                key.replace(end, ""),
                "key chat.key is damaged: the line `-----END …-----` is missing",
            ),
            (
                key.replace('\n', ""),
                "key chat.key is damaged: `-----BEGIN …-----` is not a line of its own",
            ),
            (
                key.replace(secret, "*"),
                "key chat.key is damaged: what it encloses is not base64",
            ),
        ] {
            let pair = Pair::of(&cert, &damaged);
            assert_eq!(pair.refused(), said(Concerns::Key, message, KEY_HELP));
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
                "certificate chat.pem is damaged: the line `-----END …-----` is missing",
                CERT_HELP
            )
        );
    }

    #[test]
    fn pem_of_another_kind_is_told_from_the_two_being_swapped() {
        let (cert, key) = good();
        let request = section("CERTIFICATE REQUEST", b"request");
        assert_eq!(
            Pair::of(&request, &key).refused(),
            said(
                Concerns::Cert,
                "certificate chat.pem holds no certificate",
                CERT_HELP
            )
        );
        assert_eq!(
            Pair::of(&cert, section("OPENSSH PRIVATE KEY", b"key")).refused(),
            said(Concerns::Key, "key chat.key holds no private key", KEY_HELP)
        );
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
}
