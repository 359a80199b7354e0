//! Which certificate of a file has issued which: what a client finds that gets them in this order and fetches no other.
//! Pure.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;

use crate::tls::known_roots::KnownRoots;
use crate::tls::signature::has_issued;
use crate::tls::signature::is_self_signed;

/// The certificates of a file with their relations. A certificate is named by its index.
pub(super) struct Chain<'c> {
    all: &'c [X509Certificate<'c>],
    /// Those that are repetitions of an earlier one.
    repeated: BTreeSet<usize>,
    /// The server's own certificate, and all that lead from it to an authority, each behind one that it has issued.
    path: Vec<usize>,
}

/// Where a chain ends.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum ChainEnd {
    /// An authority that clients know has issued a certificate of the chain.
    Known,
    /// This certificate of the chain has signed itself, and clients do not know it.
    Itself(usize),
    /// Who has issued this certificate is not there.
    Missing(usize),
    /// Nobody can tell, since no authority is known.
    Open,
}

impl<'c> Chain<'c> {
    /// The relations of the certificates of a file, of which the server's own is the first.
    pub(super) fn new(all: &'c [X509Certificate<'c>]) -> Self {
        let is_repeated = |at: &usize| {
            let raw = all[*at].as_raw();
            all[..*at].iter().any(|before| before.as_raw() == raw)
        };
        let repeated: BTreeSet<usize> = (0..all.len()).filter(is_repeated).collect();
        let mut path = vec![0];
        let mut next = 0;
        while let Some(at) = path.get(next).copied() {
            let issuers = (0..all.len()).filter(|other| {
                !repeated.contains(other)
                    && !path.contains(other)
                    && has_issued(&all[*other], &all[at])
            });
            path.extend(issuers.collect::<Vec<_>>());
            next += 1;
        }
        Self {
            all,
            repeated,
            path,
        }
    }

    /// Those that are repetitions of an earlier one.
    pub(super) fn repeated(&self) -> &BTreeSet<usize> {
        &self.repeated
    }

    /// The server's own certificate, and all that lead from it to an authority, each behind one that it has issued.
    pub(super) fn path(&self) -> &[usize] {
        &self.path
    }

    /// Those that have nothing to do with the server's own.
    pub(super) fn foreign(&self) -> impl Iterator<Item = usize> {
        (0..self.all.len()).filter(|at| !self.path.contains(at) && !self.repeated.contains(at))
    }

    /// Whether each stands behind one that it has issued, as TLS 1.2 demands (RFC 5246 §7.4.2).
    pub(super) fn is_in_order(&self) -> bool {
        let mut served = self.path.clone();
        served.sort_unstable();
        served.iter().enumerate().skip(1).all(|(number, at)| {
            let mut before = served[..number].iter();
            before.any(|before| has_issued(&self.all[*at], &self.all[*before]))
        })
    }

    /// Where it ends at `now`.
    pub(super) fn end(&self, known: &KnownRoots, now: OffsetDateTime) -> ChainEnd {
        let ends = |at: &&usize| known.have_issued(&self.all[**at], now);
        if self.path.iter().any(|at| ends(&at)) {
            return ChainEnd::Known;
        }
        if let Some(at) = self.path.iter().find(|at| is_self_signed(&self.all[**at])) {
            return ChainEnd::Itself(*at);
        }
        // Without a list even a chain that lacks only its root looks incomplete; a certificate that is alone is, since
        // public authorities issue none directly.
        if known.is_empty() && self.path.len() > 1 {
            return ChainEnd::Open;
        }
        // The path is never empty.
        ChainEnd::Missing(self.path[self.path.len() - 1])
    }

    /// Whether the certificate is that of an authority which clients know: itself, which they need not be sent, or as
    /// another has signed it whom they do not know.
    pub(super) fn is_root(
        &self,
        at: usize,
        known: &KnownRoots,
        now: OffsetDateTime,
    ) -> Option<Root> {
        let certificate = &self.all[at];
        if at == 0 || !known.have_key_of(certificate) {
            return None;
        }
        if is_self_signed(certificate) {
            return Some(Root::Itself);
        }
        // A root that is younger than a phone is known there through the older one that has signed it.
        let by_known = known.have_issued(certificate, now);
        (!by_known).then_some(Root::CrossSigned)
    }
}

/// How the certificate of an authority stands in a chain whose clients know that authority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Root {
    /// As clients have it.
    Itself,
    /// As signed by another authority, which clients do not know any more.
    CrossSigned,
}
