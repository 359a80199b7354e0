//! What a request asks the connection to become, and whether an answer agrees (RFC 9110 §7.8, RFC 6455 §4).

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Version;
use http::header;

use crate::headers::lists::has_member;
use crate::headers::lists::members;

/// RFC 6455 §1.3: appended to the key before hashing.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a request asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Nothing, or something that is not served: an ordinary request, which loses its `Upgrade`.
    Nothing,
    /// A WebSocket, with this key.
    WebSocket(Key),
}

/// An upgrade request that cannot be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UpgradeError {
    /// It has no `Sec-WebSocket-Key`.
    NoKey,
    /// It has several.
    SeveralKeys,
    /// The key is not 16 bytes in base64.
    BadKey,
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoKey => "an upgrade request without Sec-WebSocket-Key",
            Self::SeveralKeys => "an upgrade request with several Sec-WebSocket-Key lines",
            Self::BadKey => "a Sec-WebSocket-Key that is not 16 bytes in base64",
        })
    }
}

impl std::error::Error for UpgradeError {}

/// Whether a message has a body, as far as framing says (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// None.
    None,
    /// Some, perhaps of length 0 in chunks.
    Some,
}

/// Reads what a request asks for.
///
/// A WebSocket is asked for by GET, in HTTP/1.1, without a body, with `upgrade` in `Connection` and `websocket` in
/// `Upgrade`. When one of these is missing the request is an ordinary one. `h2c` is never agreed to: it would open a
/// way around every rule (h2c smuggling), also when `websocket` stands beside it, since then only the latter is passed on.
///
/// # Errors
/// All of these are there, but not exactly one valid key: a server could not answer it.
pub fn asked(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    body: Body,
) -> Result<Asked, UpgradeError> {
    let websocket = *method == Method::GET
        && version == Version::HTTP_11
        && body == Body::None
        && names_websocket(headers);
    if !websocket {
        return Ok(Asked::Nothing);
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).into_iter();
    match (keys.next(), keys.next()) {
        (None, _) => Err(UpgradeError::NoKey),
        (Some(_), Some(_)) => Err(UpgradeError::SeveralKeys),
        (Some(key), None) => Key::read(key.as_bytes())
            .map(Asked::WebSocket)
            .ok_or(UpgradeError::BadKey),
    }
}

/// Whether `Connection` lists `upgrade` and `Upgrade` lists `websocket`, on any of their lines and in any case.
pub fn names_websocket(headers: &HeaderMap) -> bool {
    has_member(headers, header::CONNECTION, "upgrade")
        && has_member(headers, header::UPGRADE, "websocket")
}

/// A valid `Sec-WebSocket-Key`: 16 bytes in base64, so 22 characters and `==`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Key([u8; 24]);

/// A key is no secret, but of no use in a log either.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    fn read(value: &[u8]) -> Option<Self> {
        let key: [u8; 24] = value.try_into().ok()?;
        let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'+' || *byte == b'/';
        (key[..22].iter().all(base64) && key[22..] == *b"==").then_some(Self(key))
    }

    /// What `Sec-WebSocket-Accept` must be in the answer to this key (RFC 6455 §4.2.2).
    pub fn accept(&self) -> String {
        let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        hash.update(&self.0);
        hash.update(GUID.as_bytes());
        STANDARD.encode(hash.finish())
    }
}

/// A 101 that does not agree to what was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DisagreedError {
    /// Nothing had been asked for.
    Unasked,
    /// `Connection` does not list `upgrade`.
    NoConnection,
    /// `Upgrade` is not `websocket`, and only that.
    OtherProtocol,
    /// `Sec-WebSocket-Accept` is missing, repeated or belongs to another key.
    WrongAccept,
}

impl fmt::Display for DisagreedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unasked => "it switched protocols without being asked",
            Self::NoConnection => "its 101 has no `Connection: Upgrade`",
            Self::OtherProtocol => "its 101 is not for `websocket`",
            Self::WrongAccept => "its 101 has no Sec-WebSocket-Accept, or a wrong one",
        })
    }
}

impl std::error::Error for DisagreedError {}

/// Checks a 101 against what was asked (RFC 6455 §4.1, what a client must verify).
///
/// # Errors
/// What it lacks.
pub fn agreed(asked: &Asked, headers: &HeaderMap) -> Result<(), DisagreedError> {
    let Asked::WebSocket(key) = asked else {
        return Err(DisagreedError::Unasked);
    };
    if !has_member(headers, header::CONNECTION, "upgrade") {
        return Err(DisagreedError::NoConnection);
    }
    if !names_websocket(headers) || members(headers, header::UPGRADE).count() > 1 {
        return Err(DisagreedError::OtherProtocol);
    }
    let mut accepts = headers.get_all(header::SEC_WEBSOCKET_ACCEPT).into_iter();
    match (accepts.next(), accepts.next()) {
        (Some(accept), None) if accept.as_bytes() == key.accept().as_bytes() => Ok(()),
        _ => Err(DisagreedError::WrongAccept),
    }
}

/// Writes the two fields that carry an upgrade over one connection.
pub fn write(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http::HeaderName;
    use http::HeaderValue;
    use http::Method;
    use http::Version;

    use crate::headers::upgrade::Asked;
    use crate::headers::upgrade::Body;
    use crate::headers::upgrade::DisagreedError;
    use crate::headers::upgrade::Key;
    use crate::headers::upgrade::UpgradeError;
    use crate::headers::upgrade::agreed;
    use crate::headers::upgrade::asked;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    fn ask(lines: &[(&str, &str)]) -> Result<Asked, UpgradeError> {
        asked(&Method::GET, Version::HTTP_11, &map(lines), Body::None)
    }

    #[test]
    fn the_accept_of_the_rfc_is_computed() {
        assert_eq!(
            Key::read(KEY.as_bytes()).unwrap().accept(),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn a_websocket_is_asked_for_by_both_fields_in_any_case_on_any_line() {
        let asked = ask(&[
            ("Connection", "keep-alive"),
            ("Connection", "X, UPGRADE"),
            ("Upgrade", "h2c"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Key", KEY),
        ]);
        assert!(matches!(asked, Ok(Asked::WebSocket(_))));
    }

    #[test]
    fn without_one_of_them_it_is_an_ordinary_request() {
        let whole = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Key", KEY),
        ];
        assert_eq!(ask(&whole[1..]), Ok(Asked::Nothing));
        assert_eq!(ask(&[whole[0], whole[2]]), Ok(Asked::Nothing));
        assert_eq!(
            ask(&[("Connection", "Upgrade"), ("Upgrade", "h2c"), whole[2]]),
            Ok(Asked::Nothing)
        );
        let headers = map(&whole);
        assert_eq!(
            asked(&Method::POST, Version::HTTP_11, &headers, Body::None),
            Ok(Asked::Nothing)
        );
        assert_eq!(
            asked(&Method::GET, Version::HTTP_10, &headers, Body::None),
            Ok(Asked::Nothing)
        );
        assert_eq!(
            asked(&Method::GET, Version::HTTP_11, &headers, Body::Some),
            Ok(Asked::Nothing)
        );
    }

    #[test]
    fn exactly_one_valid_key_is_needed() {
        let both = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
        assert_eq!(ask(&both), Err(UpgradeError::NoKey));
        let with = |keys: &[&'static str]| {
            let mut lines = both.to_vec();
            lines.extend(keys.iter().map(|key| ("Sec-WebSocket-Key", *key)));
            ask(&lines)
        };
        assert_eq!(with(&[KEY, KEY]), Err(UpgradeError::SeveralKeys));
        for bad in [
            "",
            "short==",
            "dGhlIHNhbXBsZSBub25jZQ=a",
            "dGhlIHNhbXBsZSBub25j Q==",
            "dGhlIHNhbXBsZSBub25jZQ==A",
        ] {
            assert_eq!(with(&[bad]), Err(UpgradeError::BadKey), "{bad}");
        }
    }

    #[test]
    fn a_101_must_agree_to_what_was_asked() {
        let asked = Asked::WebSocket(Key::read(KEY.as_bytes()).unwrap());
        let good = [
            ("Connection", "upgrade"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        assert_eq!(agreed(&asked, &map(&good)), Ok(()));
        assert_eq!(
            agreed(&Asked::Nothing, &map(&good)),
            Err(DisagreedError::Unasked)
        );
        assert_eq!(
            agreed(&asked, &map(&good[1..])),
            Err(DisagreedError::NoConnection)
        );
        assert_eq!(
            agreed(&asked, &map(&[good[0], ("Upgrade", "h2c"), good[2]])),
            Err(DisagreedError::OtherProtocol)
        );
        assert_eq!(
            agreed(
                &asked,
                &map(&[good[0], ("Upgrade", "websocket, h2c"), good[2]])
            ),
            Err(DisagreedError::OtherProtocol)
        );
        assert_eq!(
            agreed(&asked, &map(&good[..2])),
            Err(DisagreedError::WrongAccept)
        );
        assert_eq!(
            agreed(
                &asked,
                &map(&[
                    good[0],
                    good[1],
                    ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=")
                ])
            ),
            Err(DisagreedError::WrongAccept)
        );
    }
}
