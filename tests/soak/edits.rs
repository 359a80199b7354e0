//! What `routes.yaml` says, and how it is edited while everyone talks.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::gate::FOLDERS;

/// What an edit brings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Edit {
    /// Another version, and nothing else.
    Plain,
    MoreListeners,
    MoreRoutes,
    OtherHeaders,
    OtherCertificate,
    OtherTimes,
    NoYaml,
    BadRule,
    MissingCertificate,
}

/// Each, as often as the number beside it says.
pub(crate) const EDITS: [(Edit, u64); 9] = [
    (Edit::Plain, 1),
    (Edit::MoreListeners, 3),
    (Edit::MoreRoutes, 2),
    (Edit::OtherHeaders, 2),
    (Edit::OtherCertificate, 2),
    (Edit::OtherTimes, 2),
    (Edit::NoYaml, 1),
    (Edit::BadRule, 1),
    (Edit::MissingCertificate, 1),
];

impl Edit {
    pub(crate) fn is_good(self) -> bool {
        !matches!(
            self,
            Self::NoYaml | Self::BadRule | Self::MissingCertificate
        )
    }

    /// The folder of the certificate that the file then names.
    pub(crate) fn folder(self) -> &'static str {
        FOLDERS[usize::from(self == Self::OtherCertificate)]
    }

    /// The file; `/version` tells which is in force.
    pub(crate) fn yaml(
        self,
        version: u64,
        plain: SocketAddr,
        tls: SocketAddr,
        upstreams: &[SocketAddr],
    ) -> String {
        let folder = match self {
            Self::MissingCertificate => "missing",
            _ => self.folder(),
        };
        let mut yaml = String::new();
        if self == Self::OtherTimes {
            yaml += "tunnel_timeout: 30m\ndrain_timeout: 20s\nheader_timeout: 25s\n";
        }
        let _ = write!(
            yaml,
            "listen:\n  - address: {plain}\n  - address: {tls}\n    tls: {{ cert: {folder}/cert.pem, key: {folder}/key.pem }}\n"
        );
        if self == Self::MoreListeners {
            yaml += "  - address: 127.0.0.1:0\n  - address: 127.0.0.2:0\n    redirect: https\n  - address: '[::1]:0'\n";
        }
        let _ = writeln!(
            yaml,
            "routes:\n  - {{ location: = /version, return: 200 version{version} }}"
        );
        for (place, upstream) in upstreams.iter().enumerate() {
            for location in ["ws", "socket.io", "plain"] {
                let _ = writeln!(
                    yaml,
                    "  - location: /{location}/{place}/\n    proxy_pass: http://{upstream}"
                );
                if self == Self::OtherHeaders {
                    let _ = writeln!(
                        yaml,
                        "    set_headers: {{ X-Version: '{version}', X-Client: $remote_addr }}"
                    );
                }
            }
        }
        if self == Self::MoreRoutes {
            for other in 0..500 {
                let _ = writeln!(yaml, "  - {{ location: /other/{other}/, return: 404 }}");
            }
        }
        match self {
            Self::NoYaml => yaml += "nonsense: [\n",
            Self::BadRule => yaml += "  - { location: ~ (, return: 403 }\n",
            _ => {}
        }
        yaml
    }
}
