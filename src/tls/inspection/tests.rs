//! Tests of what is said about chains: each case is made on the spot, since nobody sells a wrong one.

use proptest::prelude::*;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CustomExtension;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::PKCS_ECDSA_P256_SHA256;
use rcgen::PKCS_ECDSA_P521_SHA512;
use rcgen::PKCS_ED25519;
use rcgen::SignatureAlgorithm;
use rcgen::date_time_ymd;
use rustls_pki_types::CertificateDer;
use time::Duration;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::tls::inspection::NOTICE;
use crate::tls::inspection::is_private;
use crate::tls::inspection::matters;
use crate::tls::inspection::terms;
use crate::tls::known_roots::KnownRoots;
use crate::tls::remark::Remark;
use crate::tls::test_support::now;

type Der = CertificateDer<'static>;

/// An authority, with its certificate as it has signed that itself.
struct Authority {
    der: Der,
    issuer: Issuer<'static, KeyPair>,
    params: CertificateParams,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority(name);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self {
            der,
            issuer: Issuer::new(params.clone(), key),
            params,
        }
    }

    /// One below this one, whose certificate is signed by this one.
    fn below(&self, name: &str) -> Self {
        self.below_with(name, |_| {})
    }

    fn below_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = authority(name);
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self {
            der,
            issuer: Issuer::new(params.clone(), key),
            params,
        }
    }

    /// The certificate of this one, as another has signed it.
    fn signed_by(&self, other: &Self) -> Der {
        let signed = self.params.signed_by(self.issuer.key(), &other.issuer);
        signed.unwrap().der().clone()
    }

    fn issue(&self, names: &[&str]) -> Der {
        self.issue_with(names, &PKCS_ECDSA_P256_SHA256, |_| {})
    }

    fn issue_with(
        &self,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Der {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "its common name");
        change(&mut params);
        params.signed_by(&key, &self.issuer).unwrap().der().clone()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// What is said about a file, and what to do, to clients who know these authorities.
fn said_at(moment: OffsetDateTime, file: &[&Der], known: &[&Authority]) -> Vec<(String, String)> {
    let known = KnownRoots::of(known.iter().map(|one| one.der.clone()).collect());
    let parsed: Vec<_> = file
        .iter()
        .map(|der| X509Certificate::from_der(der).unwrap().1)
        .collect();
    let matters = matters(&parsed, &known, moment).into_iter();
    matters
        .map(|matter| {
            let path = "chat.pem".into();
            let remark = Remark { path, matter };
            (remark.to_string(), remark.help())
        })
        .collect()
}

fn said(file: &[&Der], known: &[&Authority]) -> Vec<(String, String)> {
    said_at(now(), file, known)
}

fn pair(message: &str, help: &str) -> (String, String) {
    (format!("certificate chat.pem {message}"), help.to_owned())
}

const HOST: &[&str] = &["chat.example.com"];

/// A root that clients know, one authority below it, and a certificate of that.
fn three() -> (Authority, Authority, Der) {
    let root = Authority::new("Root");
    let middle = root.below("Middle");
    let leaf = middle.issue(HOST);
    (root, middle, leaf)
}

#[test]
fn a_whole_chain_is_right_with_or_without_a_list_of_authorities() {
    let (root, middle, leaf) = three();
    assert_eq!(said(&[&leaf, &middle.der], &[&root]), []);
    // A small container has no list.
    assert_eq!(said(&[&leaf, &middle.der], &[]), []);
    let own = root.issue(HOST);
    assert_eq!(said(&[&own], &[&root]), []);
    // A younger root beside the certificate that leads old phones to an older one.
    let (old, young) = (Authority::new("Old"), Authority::new("Young"));
    let middle = young.below("Middle");
    let leaf = middle.issue(HOST);
    let crossed = young.signed_by(&old);
    assert_eq!(said(&[&leaf, &middle.der, &crossed], &[&young, &old]), []);
    assert_eq!(said(&[&leaf, &middle.der, &crossed], &[&old]), []);
}

#[test]
fn a_certificate_alone_is_incomplete() {
    let (root, middle, leaf) = three();
    const HELP: &str = "give the file with the whole chain (`fullchain.pem`, `bundle`), or append what is missing: \
                        `cat issuer.pem >> chat.pem`; of an authority of your own clients need the certificate too";
    let alone = pair(
        "is incomplete: chat.example.com was issued by Middle, whose certificate is not in the file and which clients do \
         not know; phones refuse this",
        HELP,
    );
    assert_eq!(said(&[&leaf], &[&root]), std::slice::from_ref(&alone));
    assert_eq!(said(&[&leaf], &[]), std::slice::from_ref(&alone));
    // One in between is missing.
    let low = middle.below("Low");
    let leaf = low.issue(HOST);
    let between = pair(
        "is incomplete: number 2 in it (Low) was issued by Middle, whose certificate is not in the file and which clients \
         do not know; phones refuse this",
        HELP,
    );
    assert_eq!(said(&[&leaf, &low.der], &[&root]), [between]);
    // The right name, and another key: an authority that was made anew.
    let again = root.below("Middle");
    let leaf = middle.issue(HOST);
    let foreign = pair(
        "has a certificate that does not belong to it: number 2 in it (Middle), which has issued none of the others",
        "take number 2 out",
    );
    assert_eq!(said(&[&leaf, &again.der], &[&root]), [alone, foreign]);
}

#[test]
fn the_address_of_what_is_missing_is_shown() {
    let (root, middle, _) = three();
    let offering = |url: &str| {
        // SEQUENCE { SEQUENCE { id-ad-caIssuers, [6] url } }
        let mut offer = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86".to_vec();
        offer.push(u8::try_from(url.len()).unwrap());
        offer.extend_from_slice(url.as_bytes());
        let wrap = |inner: &[u8]| [&[0x30, u8::try_from(inner.len()).unwrap()], inner].concat();
        let content = wrap(&wrap(&offer));
        let access = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content);
        let leaf = middle.issue_with(HOST, &PKCS_ECDSA_P256_SHA256, |params| {
            params.custom_extensions.push(access);
        });
        said(&[&leaf], &[&root])[0].1.clone()
    };
    let command = "`curl -s http://r10.example.org/r10.der | openssl x509 -inform der >> chat.pem`";
    assert!(offering("http://r10.example.org/r10.der").ends_with(command));
    // What would mean something to a shell is not shown.
    assert!(!offering("http://r10.example.org/;reboot").contains("reboot"));
    assert!(!offering("http://a/`b`").contains("a/"));
}

#[test]
fn order_repetitions_and_strangers_are_named() {
    let (root, middle, leaf) = three();
    let low = middle.below("Low");
    let own = low.issue(HOST);
    assert_eq!(
        said(&[&own, &middle.der, &low.der], &[&root]),
        [pair(
            "is out of order: each must stand behind one that it has issued, or older clients refuse it",
            "put them in this order: 1, 3, 2"
        )]
    );
    assert_eq!(
        said(&[&leaf, &leaf, &middle.der], &[&root]),
        [pair(
            "repeats a certificate: number 2 in it (its common name)",
            "take number 2 out"
        )]
    );
    let stranger = Authority::new("Stranger");
    assert_eq!(
        said(&[&leaf, &stranger.der, &middle.der], &[&root]),
        [pair(
            "has a certificate that does not belong to it: number 2 in it (Stranger), which has issued none of the others",
            "take number 2 out"
        )]
    );
    assert_eq!(
        said(&[&leaf, &middle.der, &root.der], &[&root]),
        [pair(
            "has a certificate that clients have themselves: number 3 in it (Root)",
            "take number 3 out: it only makes each TLS handshake longer"
        )]
    );
    let gone = Authority::new("Gone");
    let crossed = root.signed_by(&gone);
    assert_eq!(
        said(&[&leaf, &middle.der, &crossed], &[&root]),
        [pair(
            "leads older clients astray: number 3 in it (Root) is signed by Gone, which is no authority any more, though \
             clients know the former themselves",
            "take number 3 out"
        )]
    );
}

#[test]
fn dates_of_all_of_the_chain_are_told() {
    let root = Authority::new("Root");
    let old = root.below_with("Middle", |params| {
        params.not_after = date_time_ymd(2025, 9, 30);
    });
    let leaf = old.issue(HOST);
    let expired = pair(
        "has a certificate that expired on 2025-09-30: number 2 in it (Middle); many clients refuse it",
        "get the chain again from where the certificate was issued",
    );
    assert_eq!(said(&[&leaf, &old.der], &[&root]), [expired]);
    let new = root.below_with("Middle", |params| {
        params.not_before = date_time_ymd(2027, 9, 30);
    });
    let leaf = new.issue(HOST);
    let early = pair(
        "has a certificate that is not valid before 2027-09-30: number 2 in it (Middle)",
        "is this machine's clock right?",
    );
    assert_eq!(said(&[&leaf, &new.der], &[&root]), [early]);

    let end = date_time_ymd(2026, 3, 15) + Duration::hours(12);
    let leaf = root.issue_with(HOST, &PKCS_ECDSA_P256_SHA256, |params| {
        params.not_after = end
    });
    let renew = "renew it: a file that is written anew is taken over at once";
    for (before, text) in [
        (NOTICE, "ends in 21 days, on 2026-03-15: chat.example.com"),
        (
            Duration::hours(47),
            "ends in 1 day, on 2026-03-15: chat.example.com",
        ),
        (
            Duration::ZERO,
            "ends within a day, on 2026-03-15: chat.example.com",
        ),
        (
            -Duration::SECOND,
            "has a certificate that expired on 2026-03-15: chat.example.com; clients refuse it",
        ),
    ] {
        assert_eq!(
            said_at(end - before, &[&leaf], &[&root]),
            [pair(text, renew)]
        );
        let parsed = [X509Certificate::from_der(&leaf).unwrap().1];
        assert_eq!(terms(&parsed, end - before).len(), 1);
    }
    assert_eq!(
        said_at(end - NOTICE - Duration::SECOND, &[&leaf], &[&root]),
        []
    );
}

/// Let's Encrypt issues some for 45 days, which are renewed 15 days before their end, and some for 6.
#[test]
fn one_of_a_short_life_is_remarked_upon_in_the_last_quarter_of_it() {
    let root = Authority::new("Root");
    let end = date_time_ymd(2026, 3, 15);
    for (days, quarter) in [(45, Duration::hours(270)), (6, Duration::hours(36))] {
        let leaf = root.issue_with(HOST, &PKCS_ECDSA_P256_SHA256, |params| {
            params.not_before = end - Duration::days(days);
            params.not_after = end;
        });
        let before = end - quarter - Duration::SECOND;
        assert_eq!(said_at(before, &[&leaf], &[&root]), [], "{days}");
        assert_eq!(
            said_at(end - quarter, &[&leaf], &[&root]).len(),
            1,
            "{days}"
        );
    }
}

#[test]
fn one_that_has_signed_itself_is_told_so_in_one_line() {
    let itself = |names: &[&str], years: i32| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(years, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    };
    let help = "for a try that is enough; for others get one of a public authority, and give its `fullchain.pem`";
    for names in [
        &["chat.example.com"][..],
        &["192.168.1.5"],
        &["localhost", "chat.test"],
    ] {
        assert_eq!(
            said(&[&itself(names, 2099)], &[]),
            [pair(
                "has signed itself: browsers and phones refuse it until it is installed on them",
                help
            )]
        );
    }
    assert_eq!(
        said(&[&itself(&[], 2099)], &[]),
        [pair(
            "has signed itself and names no host (`subjectAltName`): browsers and phones refuse it",
            help
        )]
    );
    // No phone gets to this machine.
    let local = itself(&["localhost", "*.localhost", "127.0.0.1", "::1"], 2099);
    assert_eq!(said(&[&local], &[]), []);
}

#[test]
fn an_authority_of_ones_own_is_told_where_a_public_one_could_have_been() {
    let (root, middle, leaf) = three();
    let own = pair(
        "ends at an authority that clients do not know: number 3 in it (Root)",
        "install that authority on every client, or get a certificate of a public one",
    );
    let other = Authority::new("Other");
    assert_eq!(said(&[&leaf, &middle.der, &root.der], &[&other]), [own]);
    let inner = middle.issue(&["chat.corp.internal", "10.0.0.5"]);
    assert_eq!(said(&[&inner, &middle.der, &root.der], &[&other]), []);
    // What is missing is missing for whoever has installed the root, too.
    assert_eq!(said(&[&inner], &[&other]).len(), 1);
    let local = middle.issue(&["localhost"]);
    assert_eq!(said(&[&local], &[&other]), []);
}

#[test]
fn names_and_purposes_that_clients_do_not_take_are_told() {
    let root = Authority::new("Root");
    let nameless = root.issue(&[]);
    assert_eq!(
        said(&[&nameless], &[&root]),
        [pair(
            "names no host (`subjectAltName`): its common name its common name is looked at by no client of today",
            "get one with `subjectAltName`, as by `openssl req -addext subjectAltName=DNS:chat.example.com`"
        )]
    );
    for (purposes, says) in [
        (vec![ExtendedKeyUsagePurpose::ClientAuth], true),
        (vec![ExtendedKeyUsagePurpose::Any], false),
        (
            vec![
                ExtendedKeyUsagePurpose::ClientAuth,
                ExtendedKeyUsagePurpose::ServerAuth,
            ],
            false,
        ),
    ] {
        let leaf = root.issue_with(HOST, &PKCS_ECDSA_P256_SHA256, |params| {
            params.extended_key_usages = purposes;
        });
        let wrong = pair(
            "is not one for servers (`extendedKeyUsage`): clients refuse it",
            "get one whose `extendedKeyUsage` has `serverAuth`",
        );
        assert_eq!(
            said(&[&leaf], &[&root]),
            if says { vec![wrong] } else { Vec::new() }
        );
    }
}

#[test]
fn keys_that_browsers_lack_are_told() {
    let root = Authority::new("Root");
    for (algorithm, kind) in [
        (&PKCS_ED25519, "Ed25519"),
        (&PKCS_ECDSA_P521_SHA512, "ECDSA on P-521"),
    ] {
        let leaf = root.issue_with(HOST, algorithm, |_| {});
        assert_eq!(
            said(&[&leaf], &[&root]),
            [pair(
                &format!(
                    "has a key of {kind}, which browsers and many phones do not know: chat.example.com"
                ),
                "make the key with ECDSA on P-256, or RSA of 2048 bits"
            )]
        );
    }
}

#[test]
fn private_names_are_told_from_public_ones() {
    for name in [
        "localhost",
        "chat",
        "chat.local",
        "a.test",
        "*.b.example",
        "nas.home.arpa",
        "10.1.2.3",
        "192.168.0.1",
        "fd00::1",
        "fe80::1",
    ] {
        assert!(is_private(name), "{name}");
    }
    for name in [
        "example.com",
        "test.example.org",
        "local.dev",
        "8.8.8.8",
        "2001:db8::1",
    ] {
        assert!(!is_private(name), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A certificate with any byte of it changed is judged as any other, if it can be read at all.
    #[test]
    fn no_certificate_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (root, middle, leaf) = three();
        let mut changed = leaf.to_vec();
        let at = at.index(changed.len());
        changed[at] = byte;
        let changed = Der::from(changed);
        if X509Certificate::from_der(&changed).is_ok() {
            said(&[&changed, &middle.der, &changed, &root.der], &[&root]);
        }
    }
}
