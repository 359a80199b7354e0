//! Certificates as browsers and phones see them: what `check`, a start and a renewal say about chains made by OpenSSL, and
//! what a client that verifies makes of them.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::Setup;
use crate::support::TestServer;

/// A root, an authority below it, and a certificate for chat.example.com of that authority, made by OpenSSL.
struct Made {
    dir: TempDir,
}

impl Made {
    fn new() -> Self {
        let made = Self {
            dir: TempDir::new().unwrap(),
        };
        made.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 3650 -subj /CN=Root",
        );
        fs::write(
            made.dir.path().join("ca.ext"),
            "basicConstraints=critical,CA:true\nkeyUsage=keyCertSign\n",
        )
        .unwrap();
        fs::write(
            made.dir.path().join("host.ext"),
            "subjectAltName=DNS:chat.example.com\nextendedKeyUsage=serverAuth\n",
        )
        .unwrap();
        made.issue(
            "middle",
            "Middle",
            "root",
            "-sha256 -days 1000 -extfile ca.ext",
        );
        made.issue(
            "chat",
            "chat",
            "middle",
            "-sha256 -days 90 -extfile host.ext",
        );
        made
    }

    /// A certificate and its key by this name, issued with these options.
    fn issue(&self, name: &str, common: &str, issuer: &str, options: &str) {
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={common}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -out {name}.pem {options}"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments}: {output:?}");
    }

    /// These files, one behind the other.
    fn chain(&self, names: &[&str]) -> String {
        let read = |name: &&str| fs::read_to_string(self.dir.path().join(format!("{name}.pem")));
        names.iter().map(|name| read(name).unwrap()).collect()
    }

    /// What `wsgate check` says of this chain, to clients that know the root: the first lines of the warnings.
    fn said(&self, names: &[&str]) -> Vec<String> {
        let dir = self.dir.path();
        fs::write(dir.join("served.pem"), self.chain(names)).unwrap();
        let key = names[0];
        fs::write(
            dir.join("routes.yaml"),
            format!(
                "listen:\n  - {{ address: 1, tls: {{ cert: served.pem, key: {key}.key }} }}\n  \
                 - {{ address: 2, tls: {{ cert: served.pem, key: {key}.key }} }}\n\
                 routes: [{{ location: /, return: 200 }}]\n"
            ),
        )
        .unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_wsgate"))
            .arg("check")
            .current_dir(dir)
            .env("SSL_CERT_FILE", dir.join("root.pem"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let lines = said.lines().filter(|line| line.contains(": warning: "));
        // Once, though two listeners show it.
        lines
            .map(|line| line.replace("routes.yaml:2:32: warning: certificate served.pem ", ""))
            .collect()
    }

    /// A wsgate that shows this chain.
    fn showing(&self, names: &[&str]) -> Setup {
        let key = fs::read_to_string(self.dir.path().join("chat.key")).unwrap();
        TestServer::setup()
            .address("127.0.0.1:0")
            .of_listener("tls: { cert: served.pem, key: served.key }")
            .raw_route("{ location: /, return: 200 ok }")
            .file("served.pem", self.chain(names))
            .file("served.key", key)
            .file("root.pem", self.chain(&["root"]))
            .variable("SSL_CERT_FILE", "root.pem")
    }

    /// What OpenSSL's client, which knows the root and fetches nothing, says of the chain that it is shown.
    fn verified(&self, address: SocketAddr) -> String {
        let output = Command::new("openssl")
            .args([
                "s_client",
                "-CAfile",
                "root.pem",
                "-servername",
                "chat.example.com",
            ])
            .args(["-verify_hostname", "chat.example.com", "-connect"])
            .arg(address.to_string())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said
            .lines()
            .find(|line| line.trim().starts_with("Verify return code: "));
        line.unwrap_or_else(|| panic!("{output:?}"))
            .trim()
            .to_owned()
    }
}

const INCOMPLETE: &str = "is incomplete: chat.example.com was issued by Middle, whose certificate is not in the file and \
                          which clients do not know; phones refuse this";

#[tokio::test]
async fn a_client_refuses_what_is_warned_of_and_takes_the_rest() {
    let made = Made::new();
    for (chain, warned, verified) in [
        (
            &["chat"][..],
            &[INCOMPLETE][..],
            "Verify return code: 21 (unable to verify the first certificate)",
        ),
        (&["chat", "middle"], &[], "Verify return code: 0 (ok)"),
    ] {
        assert_eq!(made.said(chain), warned);
        let gate = made.showing(chain).start().await;
        assert_eq!(made.verified(gate.address()), verified);
        let line = gate.log().first("ready").await;
        let begun = gate
            .log()
            .lines()
            .iter()
            .any(|line| line.contains("is incomplete"));
        assert_eq!(begun, !warned.is_empty(), "{line}");
    }
}

#[tokio::test]
async fn a_renewal_that_lacks_the_chain_is_warned_of() {
    let made = Made::new();
    let mut gate = made.showing(&["chat", "middle"]).start().await;
    // The files are looked at once more behind a start: what is written until then is a reload, with the same warning.
    gate.signal("HUP");
    gate.log().first("nothing changed").await;
    fs::write(gate.path("served.pem"), made.chain(&["chat"])).unwrap();
    let line = gate.log().first("certificate").await;
    assert_eq!(
        (&line["level"], &line["reason"]),
        (
            &"WARN".into(),
            &format!("certificate served.pem {INCOMPLETE}").into()
        )
    );
    assert!(line["help"].as_str().unwrap().contains("fullchain.pem"));
}

#[test]
fn what_openssl_makes_is_judged_as_browsers_and_phones_do() {
    let made = Made::new();
    assert_eq!(
        made.said(&["chat", "middle", "root"]),
        ["has a certificate that clients have themselves: number 3 in it (Root)"]
    );
    assert_eq!(
        made.said(&["chat", "root", "middle"])[0],
        "is out of order: each must stand behind one that it has issued, or older clients refuse it"
    );
    made.issue("sha1", "sha1", "middle", "-sha1 -days 90 -extfile host.ext");
    assert_eq!(
        made.said(&["sha1", "middle"]),
        ["has a certificate that is signed with SHA-1, which clients refuse: chat.example.com"]
    );
    made.issue("bare", "bare.example.com", "middle", "-sha256 -days 90");
    assert_eq!(
        made.said(&["bare", "middle"]),
        [
            "names no host (`subjectAltName`): its common name bare.example.com is looked at by no client of today"
        ]
    );
    made.openssl("req -newkey rsa:1024 -nodes -keyout small.key -out small.csr -subj /CN=Small");
    made.openssl(
        "x509 -req -in small.csr -CA root.pem -CAkey root.key -out small.pem -days 900 -extfile ca.ext",
    );
    made.issue(
        "under",
        "under",
        "small",
        "-sha256 -days 90 -extfile host.ext",
    );
    assert_eq!(
        made.said(&["under", "small"]),
        [
            "has a certificate with an RSA key of 1024 bits, which clients refuse: number 2 in it (Small)"
        ]
    );
    made.issue(
        "short",
        "short",
        "middle",
        "-sha256 -days 20 -extfile host.ext",
    );
    // One that lives for less than 84 days is spoken of in the last quarter of its time only.
    assert_eq!(made.said(&["short", "middle"]), [""; 0]);
    made.openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout itself.key -out itself.pem -days 365 -subj /CN=chat.example.com \
         -addext subjectAltName=DNS:chat.example.com",
    );
    assert_eq!(
        made.said(&["itself"]),
        ["has signed itself: browsers and phones refuse it until it is installed on them"]
    );
}
