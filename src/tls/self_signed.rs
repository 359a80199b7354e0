//! A certificate for localhost and a local CA that issued it, made once, so that `tls: self_signed` runs as it is.
//!
//! Three files: `localhost-ca.pem`, which a person may add to a browser or to `NODE_EXTRA_CA_CERTS`; `localhost.pem`,
//! the certificate and the CA's after it; `localhost.key`. **The CA's own key is never written**: it is forgotten as
//! soon as it has signed, so that nobody, not even a person who can read these files, can issue another certificate in
//! the name of a CA that someone trusts. The CA's name constraints (RFC 5280 §4.2.1.10) hold it to this machine
//! besides.

use std::error::Error;
use std::fmt;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::path::Path;
use std::path::PathBuf;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CidrSubnet;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::GeneralSubtree;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::NameConstraints;
use rcgen::PKCS_ECDSA_P256_SHA256;
use time::Duration;
use time::OffsetDateTime;
use time::UtcOffset;

use crate::tls::certificate::Certificate;
use crate::tls::certificate_error::CertificateError;
use crate::tls::reason;

/// How long the certificates are good for. Apple's systems accept up to 825 days from a CA that the user added
/// (support.apple.com/103769); the stricter limits are for CAs that came with the system.
pub const LIFETIME: Duration = Duration::days(820);

/// How much time a certificate must have left, since a process may run for a while; one with less is made anew.
pub const LEAST_LEFT: Duration = Duration::days(30);

/// How far the certificates reach into the past, for clients whose clocks are behind.
const BACKDATED: Duration = Duration::days(1);

const CA: &str = "localhost-ca.pem";
const CERT: &str = "localhost.pem";
const KEY: &str = "localhost.key";
/// The file that is locked while the others are made. It stays, empty: two starts could lock two of them if one removed
/// it.
const LOCK: &str = "localhost.lock";

/// Returns the pair for localhost, 127.0.0.1 and ::1 in `dir`: the one that is there, if it can be served for
/// [`LEAST_LEFT`] more, else a new one in its place. Makes `dir` if there is none.
///
/// Several starts at once end with the same pair: one makes it while the others wait.
///
/// # Errors
/// `dir` cannot be written to or read, or has a key that wsgate did not make.
pub fn ensure(dir: &Path, now: OffsetDateTime) -> Result<Certificate, SelfSignedError> {
    if let Some(pair) = usable(dir, now) {
        return Ok(pair);
    }
    let cannot = |path: &Path| {
        let path = path.to_owned();
        move |source| SelfSignedError::Write { path, source }
    };
    fs::create_dir_all(dir).map_err(cannot(dir))?;
    let lock_path = dir.join(LOCK);
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path);
    let lock = lock.map_err(cannot(&lock_path))?;
    // GivenFile back when the file is closed.
    lock.lock().map_err(cannot(&lock_path))?;
    // Another start may have made it meanwhile.
    if let Some(pair) = usable(dir, now) {
        return Ok(pair);
    }
    // The CA's file is written first, so that a key without one was made by somebody else and must not be lost.
    if dir.join(KEY).exists() && !dir.join(CA).exists() {
        return Err(SelfSignedError::Foreign {
            path: dir.join(KEY),
        });
    }
    let made = make(now).map_err(SelfSignedError::Make)?;
    for (name, content, readers) in [
        (CA, &made.ca, ReadableBy::Everyone),
        (KEY, &made.key, ReadableBy::Owner),
        (
            CERT,
            &format!("{}{}", made.cert, made.ca),
            ReadableBy::Everyone,
        ),
    ] {
        let path = dir.join(name);
        replace(&path, content, readers).map_err(cannot(&path))?;
    }
    Certificate::load(&dir.join(CERT), &dir.join(KEY), now).map_err(SelfSignedError::Load)
}

/// The pair in `dir`, if all of it is there, belongs together and lasts.
fn usable(dir: &Path, now: OffsetDateTime) -> Option<Certificate> {
    let pair = Certificate::load(&dir.join(CERT), &dir.join(KEY), now).ok()?;
    let chain = fs::read_to_string(dir.join(CERT)).ok()?;
    let ca = fs::read_to_string(dir.join(CA)).ok()?;
    let complete = !ca.is_empty() && chain.ends_with(&ca);
    (complete && pair.not_after() - now >= LEAST_LEFT).then_some(pair)
}

/// A certificate, its CA's, and its key, each as a text in PEM.
struct PemTexts {
    ca: String,
    cert: String,
    key: String,
}

/// Makes a CA and has it sign one certificate; the CA's key ends with this function.
fn make(now: OffsetDateTime) -> Result<PemTexts, rcgen::Error> {
    let addresses = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let now = now.to_offset(UtcOffset::UTC);
    let not_before = now - BACKDATED;

    let mut ca = CertificateParams::default();
    ca.not_before = not_before;
    ca.not_after = not_before + LIFETIME;
    // The day tells apart, in a browser's list, the CAs that were made at different times.
    ca.distinguished_name.push(
        DnType::CommonName,
        format!("wsgate local CA {}", now.date()),
    );
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let host = GeneralSubtree::DnsName("localhost".to_owned());
    let subnets = addresses.map(|address| match address {
        IpAddr::V4(v4) => CidrSubnet::from_v4_prefix(v4.octets(), 32),
        IpAddr::V6(v6) => CidrSubnet::from_v6_prefix(v6.octets(), 128),
    });
    ca.name_constraints = Some(NameConstraints {
        permitted_subtrees: [host]
            .into_iter()
            .chain(subnets.map(GeneralSubtree::IpAddress))
            .collect(),
        excluded_subtrees: Vec::new(),
    });
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let ca_cert = ca.self_signed(&ca_key)?;

    let names = ["localhost".to_owned()]
        .into_iter()
        .chain(addresses.map(|address| address.to_string()));
    let mut cert = CertificateParams::new(names.collect::<Vec<_>>())?;
    cert.not_before = ca.not_before;
    cert.not_after = ca.not_after;
    cert.distinguished_name
        .push(DnType::CommonName, "localhost");
    cert.is_ca = IsCa::ExplicitNoCa;
    cert.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    cert.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    cert.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let cert = cert.signed_by(&key, &Issuer::new(ca, ca_key))?;

    Ok(PemTexts {
        ca: ca_cert.pem(),
        cert: cert.pem(),
        key: key.serialize_pem(),
    })
}

/// Which users may read a file.
#[derive(Clone, Copy)]
enum ReadableBy {
    Owner,
    Everyone,
}

/// Puts a whole file at `path`, which at no moment is missing, partly written or open to more than `readers`.
fn replace(path: &Path, content: &str, readers: ReadableBy) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    // A start that was ended in between may have left the file. The lock keeps other starts away.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create(Path::new(&new), readers)?.write_all(content.as_bytes())?;
    fs::rename(&new, path)
}

#[cfg(unix)]
fn create(path: &Path, readers: ReadableBy) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mode = match readers {
        ReadableBy::Owner => 0o600,
        ReadableBy::Everyone => 0o644,
    };
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

#[cfg(not(unix))]
fn create(path: &Path, _: ReadableBy) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Why there is no pair for localhost.
#[derive(Debug)]
pub enum SelfSignedError {
    /// A file or the directory cannot be written.
    Write {
        /// The file or the directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A key of that name is there which wsgate did not make.
    Foreign {
        /// The key.
        path: PathBuf,
    },
    /// The certificate could not be made.
    Make(rcgen::Error),
    /// What was written cannot be used.
    Load(CertificateError),
}

impl SelfSignedError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Write { .. } => {
                "let wsgate write there, or give `tls` a pair of your own instead of `self_signed`"
                    .to_owned()
            }
            Self::Foreign { .. } => {
                "name it and its certificate under `tls`, or move it away and have a new one made"
                    .to_owned()
            }
            Self::Make(_) => "give `tls` a pair of your own instead of `self_signed`".to_owned(),
            Self::Load(error) => error.help(),
        }
    }
}

impl fmt::Display for SelfSignedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { path, source } => {
                write!(
                    f,
                    "cannot write {} for the self-signed certificate: {}",
                    path.display(),
                    reason(source)
                )
            }
            Self::Foreign { path } => {
                write!(
                    f,
                    "cannot replace key {}: there is no {CA} beside it, so wsgate did not make it",
                    path.display()
                )
            }
            Self::Make(source) => write!(f, "cannot make a self-signed certificate: {source}"),
            Self::Load(source) => source.fmt(f),
        }
    }
}

impl Error for SelfSignedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Write { source, .. } => Some(source),
            Self::Foreign { .. } => None,
            Self::Make(source) => Some(source),
            Self::Load(source) => source.source(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::Barrier;

    use rcgen::PKCS_ECDSA_P256_SHA256;
    use rustls::ClientConfig;
    use rustls::RootCertStore;
    use rustls::crypto::aws_lc_rs;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    use time::Duration;
    use time::OffsetDateTime;

    use crate::tls::Shared;
    use crate::tls::self_signed;
    use crate::tls::self_signed::CA;
    use crate::tls::self_signed::CERT;
    use crate::tls::self_signed::KEY;
    use crate::tls::self_signed::LIFETIME;
    use crate::tls::self_signed::ensure;
    use crate::tls::server_config;
    use crate::tls::test_support::make;
    use crate::tls::test_support::now;
    use crate::tls::test_support::shake;

    fn files(dir: &Path) -> [String; 3] {
        [CA, CERT, KEY].map(|name| fs::read_to_string(dir.join(name)).unwrap())
    }

    #[test]
    fn a_pair_is_made_once_with_its_directory() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("new/certs");
        let pair = ensure(&dir, now()).unwrap();
        assert_eq!(pair.names(), ["localhost", "127.0.0.1", "::1"]);
        assert_eq!(pair.not_after(), now() + Duration::days(819));
        assert_eq!(pair.path(), dir.join("localhost.pem"));
        let made = files(&dir);
        assert!(made[1].ends_with(&made[0]), "the chain ends with the CA");
        assert_eq!(made[1].matches("BEGIN CERTIFICATE").count(), 2);
        ensure(&dir, now() + Duration::days(789)).unwrap();
        assert_eq!(files(&dir), made);
        let mut names: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "localhost-ca.pem",
                "localhost.key",
                "localhost.lock",
                "localhost.pem"
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let pair = ensure(dir.path(), now()).unwrap();
        assert_eq!(pair.key_mode_too_open(), None);
        let mode = |name| {
            fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode(KEY), 0o600);
        // The key's file inherits nothing from a file that was in its place.
        fs::set_permissions(dir.path().join(KEY), fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(dir.path().join(format!("{KEY}.new")), "left over").unwrap();
        fs::set_permissions(
            dir.path().join(format!("{KEY}.new")),
            fs::Permissions::from_mode(0o666),
        )
        .unwrap();
        ensure(dir.path(), now() + LIFETIME).unwrap();
        assert_eq!(mode(KEY), 0o600);
        assert!(!dir.path().join(format!("{KEY}.new")).exists());
    }

    #[test]
    fn what_is_old_incomplete_or_does_not_belong_together_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        let other = tempfile::tempdir().unwrap();
        ensure(other.path(), now()).unwrap();
        let [other_ca, _, other_key] = files(other.path());
        let spoilers: [(&str, &dyn Fn()); 6] = [
            ("certificate missing", &|| {
                fs::remove_file(path(CERT)).unwrap()
            }),
            ("key missing", &|| fs::remove_file(path(KEY)).unwrap()),
            ("key torn", &|| fs::write(path(KEY), "-----BEGIN").unwrap()),
            ("key of another", &|| {
                fs::write(path(KEY), &other_key).unwrap()
            }),
            ("CA of another", &|| fs::write(path(CA), &other_ca).unwrap()),
            ("CA empty", &|| fs::write(path(CA), "").unwrap()),
        ];
        for (what, spoil) in spoilers {
            ensure(dir.path(), now()).unwrap();
            let before = files(dir.path());
            spoil();
            ensure(dir.path(), now()).unwrap();
            let after = files(dir.path());
            assert!(
                before
                    .iter()
                    .zip(&after)
                    .all(|(before, after)| before != after),
                "{what}"
            );
        }
        let before = files(dir.path());
        let soon = now() + Duration::days(789) + Duration::SECOND;
        assert_eq!(
            ensure(dir.path(), soon).unwrap().not_after(),
            soon + Duration::days(819)
        );
        assert_ne!(files(dir.path()), before);
        // A clock that was wrong when the pair was made.
        let earlier = now() - Duration::days(400);
        assert_eq!(
            ensure(dir.path(), earlier).unwrap().not_after(),
            earlier + Duration::days(819)
        );
    }

    #[test]
    fn a_key_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = make(&["localhost"], &PKCS_ECDSA_P256_SHA256);
        fs::write(dir.path().join(CERT), cert.pem()).unwrap();
        fs::write(dir.path().join(KEY), key.serialize_pem()).unwrap();
        let error = ensure(dir.path(), now()).unwrap_err();
        let message = error
            .to_string()
            .replace(&format!("{}/", dir.path().display()), "");
        assert_eq!(
            message,
            "cannot replace key localhost.key: there is no localhost-ca.pem beside it, so wsgate did not make it"
        );
        assert_eq!(
            error.help(),
            "name it and its certificate under `tls`, or move it away and have a new one made"
        );
        assert_eq!(
            fs::read_to_string(dir.path().join(KEY)).unwrap(),
            key.serialize_pem()
        );
    }

    #[test]
    fn starts_at_once_end_with_the_same_pair() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let together = Barrier::new(4);
            let start = || {
                together.wait();
                ensure(dir.path(), now()).unwrap().certified().cert.clone()
            };
            let chains: Vec<_> = std::thread::scope(|scope| {
                let starts: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
                starts
                    .into_iter()
                    .map(|start| start.join().unwrap())
                    .collect()
            });
            assert!(chains.iter().all(|chain| *chain == chains[0]));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named_with_the_reason() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("certs");
        fs::write(&dir, "a file").unwrap();
        let error = ensure(&dir, now()).unwrap_err();
        let message = error
            .to_string()
            .replace(&format!("{}/", parent.path().display()), "");
        assert_eq!(
            message,
            "cannot write certs for the self-signed certificate: file exists"
        );
        assert_eq!(
            error.help(),
            "let wsgate write there, or give `tls` a pair of your own instead of `self_signed`"
        );
    }

    #[tokio::test]
    async fn a_client_that_trusts_the_ca_reaches_localhost_by_all_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let pair = ensure(dir.path(), OffsetDateTime::now_utc()).unwrap();
        let config = server_config(vec![pair], &Shared::new().unwrap());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(dir.path().join(CA)).unwrap())
            .unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Arc::new(client);
        for name in ["localhost", "127.0.0.1", "::1"] {
            let (server, client) = shake(&config, &client, name).await;
            server.unwrap();
            client.unwrap();
        }
        let (_, refused) = shake(&config, &client, "chat.example").await;
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("not valid for name")
        );
    }

    #[test]
    fn the_ca_is_held_to_this_machine_and_cannot_make_another_ca() {
        let made = self_signed::make(now()).unwrap();
        let der = CertificateDer::from_pem_slice(made.ca.as_bytes()).unwrap();
        let (_, ca) = x509_parser::parse_x509_certificate(&der).unwrap();
        let constraints = ca.name_constraints().unwrap().unwrap();
        assert!(constraints.critical);
        assert_eq!(
            constraints.value.permitted_subtrees.as_ref().unwrap().len(),
            3
        );
        let basic = ca.basic_constraints().unwrap().unwrap();
        assert_eq!(
            (basic.value.ca, basic.value.path_len_constraint),
            (true, Some(0))
        );
        assert_eq!(ca.subject().to_string(), "CN=wsgate local CA 2026-03-01");
        let lifetime =
            ca.validity().not_after.to_datetime() - ca.validity().not_before.to_datetime();
        assert_eq!(lifetime, Duration::days(820));
        assert_eq!(
            made.cert.matches("PRIVATE KEY").count() + made.ca.matches("PRIVATE KEY").count(),
            0
        );
        assert_eq!(made.key.matches("BEGIN PRIVATE KEY").count(), 1);
    }
}
