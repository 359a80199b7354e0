//! The cookie with which a client comes back to its server: nginx's `sticky cookie`.
//!
//! Its value is made of the names of the group and of the server alone, so that it is the same in every process, after every start,
//! and whatever the order of the servers; and it shows the address to nobody.

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::digest::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderValue;

use crate::upstream::Choice;
use crate::upstream::Group;
use crate::upstream::Member;

/// How many bytes of the hash stand for a server: more than enough to tell the servers of one group apart, and too few to search for the
/// address behind them with any certainty.
const BYTES: usize = 10;

/// What follows the name in the cookie of a group's server.
pub(super) fn value(group: &str, address: &str) -> Option<HeaderValue> {
    // A byte that is in neither divides them, so that no two pairs are hashed alike.
    let hash = digest(&SHA256, format!("{group}\0{address}").as_bytes());
    let text = BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref().get(..BYTES)?);
    HeaderValue::try_from(text).ok()
}

impl Group {
    /// The server that a client's cookie names.
    pub fn member_of_cookie(&self, value: &HeaderValue) -> Option<&Member> {
        let mut members = self.members().iter();
        members.find(|member| member.cookie_value() == Some(value))
    }
}

impl Choice {
    /// The `Set-Cookie` by which a client comes back to this server that sent `known` as this cookie; `None` if it sent the right one,
    /// or if the group has no cookie.
    pub fn set_cookie(&self, known: Option<&HeaderValue>) -> Option<HeaderValue> {
        let cookie = self.group().settings().sticky.cookie.as_ref()?;
        let value = self.member().cookie_value()?;
        if known == Some(value) {
            return None;
        }
        let value = value.to_str().ok()?;
        let line = format!("{}={value}{}", cookie.name, cookie.attributes);
        HeaderValue::try_from(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::upstream::sticky_cookie::value;

    #[test]
    fn a_servers_cookie_is_always_the_same_and_shows_no_address() {
        let of = |group, address| value(group, address);
        let one = of("chat", "10.0.0.1:3000");
        assert_eq!(
            one.as_ref().map(|value| value.as_bytes()),
            Some(&b"rrtU9IVbuuuY1A"[..])
        );
        assert_eq!(one, of("chat", "10.0.0.1:3000"));
        assert_ne!(one, of("chat", "10.0.0.2:3000"));
        assert_ne!(one, of("other", "10.0.0.1:3000"));
    }
}
