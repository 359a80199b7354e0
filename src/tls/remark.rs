//! What a person should know about a certificate that is served, and what to do about it.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use time::OffsetDateTime;

use crate::tls::certificate_error::day;
use crate::tls::given_file::GivenFile;
use crate::tls::names::is_host;

/// Something that a person should know about the file of a certificate: clients may refuse it though it is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remark {
    pub(super) path: PathBuf,
    pub(super) matter: Matter,
}

/// One of the certificates in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Which {
    /// Its place in the file, from 1.
    pub(super) number: usize,
    /// What it is for: the hosts of the first, the name of the authority of any other.
    pub(super) name: String,
}

/// What a remark is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Matter {
    /// Nobody but itself vouches for it.
    SelfSigned {
        /// Whether it says by `subjectAltName` what it is for.
        names_host: bool,
    },
    /// The certificate of the authority that issued this one is not in the file, and clients do not have it.
    Incomplete {
        which: Which,
        issuer: String,
        /// Where the authority offers its certificate, if it does.
        offered_at: Option<String>,
    },
    /// The chain is whole, and clients do not know the authority at its end.
    UnknownAuthority(Which),
    /// The certificates stand in another order than they were issued in; with the right one.
    Order(Vec<Which>),
    /// It is twice in the file.
    Twice(Which),
    /// It has issued no other of the chain.
    Foreign(Which),
    /// It is that of an authority which clients have themselves.
    Root(Which),
    /// It is that of an authority which clients have themselves, as signed by this other one, which they do not have.
    CrossSigned { which: Which, issuer: String },
    /// It has no `subjectAltName`; with its common name.
    NoHost(Option<String>),
    /// It does not say that it is for servers, and says what it is for.
    NotForServers,
    /// Its last moment is near.
    EndsSoon {
        which: Which,
        not_after: OffsetDateTime,
        days: i64,
    },
    /// Its last moment is over.
    Expired {
        which: Which,
        not_after: OffsetDateTime,
    },
    /// Its first moment is yet to come.
    NotYetValid {
        which: Which,
        not_before: OffsetDateTime,
    },
    /// Clients do not trust signatures or keys of this kind any more, or not yet.
    Weak { which: Which, what: Weakness },
}

/// What is weak about a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Weakness {
    /// It was signed with this digest.
    Digest(&'static str),
    /// Its RSA key has so many bits.
    Rsa(usize),
    /// Its key is of this kind, which many clients do not have.
    Rare(&'static str),
}

impl Remark {
    /// The file, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether clients refuse the certificate by now, though it was right when it was read.
    pub fn is_error(&self) -> bool {
        matches!(&self.matter, Matter::Expired { which, .. } if which.number == 1)
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        let path = self.path.display();
        match &self.matter {
            Matter::SelfSigned { .. } => {
                "for a try that is enough; for others get one of a public authority, and give its `fullchain.pem`"
                    .to_owned()
            }
            Matter::Incomplete {
                offered_at: Some(url),
                ..
            } => format!(
                "give the file with the whole chain (`fullchain.pem`, `bundle`), or append what is missing: \
                 `curl -s {url} | openssl x509 -inform der >> {path}`"
            ),
            Matter::Incomplete { .. } => format!(
                "give the file with the whole chain (`fullchain.pem`, `bundle`), or append what is missing: \
                 `cat issuer.pem >> {path}`; of an authority of your own clients need the certificate too"
            ),
            Matter::UnknownAuthority(_) => {
                "install that authority on every client, or get a certificate of a public one".to_owned()
            }
            Matter::Order(order) => {
                let order: Vec<_> = order.iter().map(|which| which.number.to_string()).collect();
                format!("put them in this order: {}", order.join(", "))
            }
            Matter::Twice(which) | Matter::Foreign(which) | Matter::CrossSigned { which, .. } => {
                format!("take number {} out", which.number)
            }
            Matter::Root(which) => format!(
                "take number {} out: it only makes each TLS handshake longer",
                which.number
            ),
            Matter::NoHost(name) => format!(
                "get one with `subjectAltName`, as by `openssl req -addext subjectAltName=DNS:{}`",
                name.as_deref()
                    .filter(|name| is_host(name))
                    .unwrap_or("chat.example.com")
            ),
            Matter::NotForServers => "get one whose `extendedKeyUsage` has `serverAuth`".to_owned(),
            Matter::EndsSoon { which, .. } | Matter::Expired { which, .. } if which.number == 1 => {
                "renew it: a file that is written anew is taken over at once".to_owned()
            }
            Matter::EndsSoon { .. } | Matter::Expired { .. } => {
                "get the chain again from where the certificate was issued".to_owned()
            }
            Matter::NotYetValid { .. } => "is this machine's clock right?".to_owned(),
            Matter::Weak {
                what: Weakness::Rare(_),
                ..
            } => "make the key with ECDSA on P-256, or RSA of 2048 bits".to_owned(),
            Matter::Weak { .. } => "get one with SHA-256, and a key of ECDSA on P-256 or RSA of 2048 bits".to_owned(),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = GivenFile::of_certificates(&self.path);
        match &self.matter {
            Matter::SelfSigned { names_host: true } => write!(
                f,
                "{file} has signed itself: browsers and phones refuse it until it is installed on them"
            ),
            Matter::SelfSigned { names_host: false } => write!(
                f,
                "{file} has signed itself and names no host (`subjectAltName`): browsers and phones refuse it"
            ),
            Matter::Incomplete { which, issuer, .. } => write!(
                f,
                "{file} is incomplete: {which} was issued by {issuer}, whose certificate is not in the file and which \
                 clients do not know; phones refuse this"
            ),
            Matter::UnknownAuthority(which) => write!(
                f,
                "{file} ends at an authority that clients do not know: {which}"
            ),
            Matter::Order(_) => write!(
                f,
                "{file} is out of order: each must stand behind one that it has issued, or older clients refuse it"
            ),
            Matter::Twice(which) => write!(f, "{file} repeats a certificate: {which}"),
            Matter::Foreign(which) => write!(
                f,
                "{file} has a certificate that does not belong to it: {which}, which has issued none of the others"
            ),
            Matter::Root(which) => write!(
                f,
                "{file} has a certificate that clients have themselves: {which}"
            ),
            Matter::CrossSigned { which, issuer } => write!(
                f,
                "{file} leads older clients astray: {which} is signed by {issuer}, which is no authority any more, though \
                 clients know the former themselves"
            ),
            Matter::NoHost(Some(name)) => write!(
                f,
                "{file} names no host (`subjectAltName`): its common name {name} is looked at by no client of today"
            ),
            Matter::NoHost(None) => write!(
                f,
                "{file} names no host (`subjectAltName`): clients refuse it"
            ),
            Matter::NotForServers => write!(
                f,
                "{file} is not one for servers (`extendedKeyUsage`): clients refuse it"
            ),
            Matter::EndsSoon {
                which,
                not_after,
                days,
            } => write!(
                f,
                "{file} ends {}, on {}: {which}",
                in_days(*days),
                day(*not_after)
            ),
            Matter::Expired { which, not_after } => write!(
                f,
                "{file} has a certificate that expired on {}: {which}; {} refuse it",
                day(*not_after),
                if which.number == 1 {
                    "clients"
                } else {
                    "many clients"
                }
            ),
            Matter::NotYetValid { which, not_before } => write!(
                f,
                "{file} has a certificate that is not valid before {}: {which}",
                day(*not_before)
            ),
            Matter::Weak { which, what } => match what {
                Weakness::Digest(digest) => write!(
                    f,
                    "{file} has a certificate that is signed with {digest}, which clients refuse: {which}"
                ),
                Weakness::Rsa(bits) => write!(
                    f,
                    "{file} has a certificate with an RSA key of {bits} bits, which clients refuse: {which}"
                ),
                Weakness::Rare(kind) => write!(
                    f,
                    "{file} has a key of {kind}, which browsers and many phones do not know: {which}"
                ),
            },
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, self.name.as_str()) {
            (1, "") => f.write_str("the server's own"),
            (1, names) => f.write_str(names),
            (number, name) => write!(f, "number {number} in it ({name})"),
        }
    }
}

fn in_days(days: i64) -> String {
    match days {
        0 => "within a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    }
}
