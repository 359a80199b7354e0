//! The header with which a proxy in front says whose connection it passes on: HAProxy's PROXY protocol, versions 1 and 2.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

/// The longest line of version 1, with its end, that the specification allows.
const LONGEST_LINE: usize = 107;

/// The longest header of version 2 that is read; the addresses need at most 232 bytes, and the rest is what a proxy may tell of
/// TLS, or of the network it stands in.
const LONGEST: usize = 4096;

/// With which version 2 begins: bytes that no other protocol begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
const FIXED: usize = 16;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectionSource {
    /// A client's, at this address; an IPv4 one in IPv6's clothes is IPv4.
    Client(SocketAddr),
    /// The proxy's own, such as a look whether somebody is there, or one of whose client nothing can be said.
    Proxy,
}

/// What is wrong with a PROXY header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyHeaderError {
    /// The connection does not begin with one.
    Missing,
    /// It begins like one, and goes on otherwise.
    Malformed,
    /// It does not end where it has to at the latest.
    TooLong,
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it does not begin with a PROXY header",
            Self::Malformed => "it begins with a malformed PROXY header",
            Self::TooLong => "it begins with a PROXY header that is too long",
        })
    }
}

impl std::error::Error for ProxyHeaderError {}

/// Reads the header with which `bytes` begin: whose connection it is, and how long the header is. `None` if all of `bytes`
/// belong to it, and more is to come.
///
/// # Errors
/// There is none, or none that can be understood.
pub fn proxy_header(bytes: &[u8]) -> Result<Option<(ConnectionSource, usize)>, ProxyHeaderError> {
    let begins = |known: &[u8]| bytes.iter().zip(known).all(|(byte, known)| byte == known);
    if begins(b"PROXY ") {
        line(bytes)
    } else if begins(SIGNATURE) {
        binary(bytes)
    } else {
        Err(ProxyHeaderError::Missing)
    }
}

fn line(bytes: &[u8]) -> Result<Option<(ConnectionSource, usize)>, ProxyHeaderError> {
    let within = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        return match bytes.len() < LONGEST_LINE {
            true => Ok(None),
            false => Err(ProxyHeaderError::TooLong),
        };
    };
    let line = &bytes[..end];
    // What follows that word is not to be looked at.
    let is_unknown = line == b"PROXY UNKNOWN" || line.starts_with(b"PROXY UNKNOWN ");
    let source = match is_unknown {
        true => Some(ConnectionSource::Proxy),
        false => str::from_utf8(line).ok().and_then(client_of),
    };
    match source {
        Some(source) => Ok(Some((source, end + 2))),
        None => Err(ProxyHeaderError::Malformed),
    }
}

fn client_of(line: &str) -> Option<ConnectionSource> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    let mut address = || words.next()?.parse::<IpAddr>().ok();
    let (source, target) = (address()?, address()?);
    let is_family = |address: &IpAddr| match family {
        "TCP4" => address.is_ipv4(),
        "TCP6" => address.is_ipv6(),
        _ => false,
    };
    let mut port = || {
        let text = words.next()?;
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let (port, _) = (port()?, port()?);
    let is_whole = words.next().is_none() && is_family(&source) && is_family(&target);
    is_whole.then(|| ConnectionSource::Client(SocketAddr::new(source.to_canonical(), port)))
}

fn binary(bytes: &[u8]) -> Result<Option<(ConnectionSource, usize)>, ProxyHeaderError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(None);
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > LONGEST {
        return Err(ProxyHeaderError::TooLong);
    }
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyHeaderError::Malformed),
    };
    let Some(block) = rest.get(..length) else {
        return Ok(None);
    };
    let source = match family {
        _ if is_local => Some(ConnectionSource::Proxy),
        // TCP over IPv4, and over IPv6: two addresses, two ports, then what we have no use for.
        0x11 => block.first_chunk::<12>().map(|block| {
            let [a, b, c, d, _, _, _, _, high, low, ..] = *block;
            client(Ipv4Addr::new(a, b, c, d).into(), [high, low])
        }),
        0x21 => block.first_chunk::<36>().and_then(|block| {
            let address = *block.first_chunk::<16>()?;
            Some(client(
                Ipv6Addr::from(address).into(),
                [block[32], block[33]],
            ))
        }),
        // Unspecified, datagrams, Unix sockets: nothing that a client here has.
        0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30..=0x32 => Some(ConnectionSource::Proxy),
        _ => None,
    };
    match source {
        Some(source) => Ok(Some((source, FIXED + length))),
        None => Err(ProxyHeaderError::Malformed),
    }
}

fn client(address: IpAddr, port: [u8; 2]) -> ConnectionSource {
    ConnectionSource::Client(SocketAddr::new(
        address.to_canonical(),
        u16::from_be_bytes(port),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::proxy_protocol::ConnectionSource;
    use crate::proxy_protocol::FIXED;
    use crate::proxy_protocol::LONGEST;
    use crate::proxy_protocol::ProxyHeaderError;
    use crate::proxy_protocol::SIGNATURE;
    use crate::proxy_protocol::proxy_header;

    fn client(address: &str) -> ConnectionSource {
        ConnectionSource::Client(address.parse().unwrap())
    }

    /// A header of version 2.
    fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block].concat()
    }

    /// Addresses and ports of TCP over IPv4, from 192.0.2.7:4711.
    const FOUR: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

    fn six() -> Vec<u8> {
        let ip = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
        [&ip("2001:db8::7")[..], &ip("::1"), &[0x12, 0x67, 0, 80]].concat()
    }

    #[test]
    fn whose_connection_it_is_is_read_in_both_versions() {
        let more = [&FOUR[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
        for (header, source) in [
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec(),
                client("192.0.2.7:4711"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n".to_vec(),
                client("[2001:db8::7]:4711"),
            ),
            (
                b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 80\r\n".to_vec(),
                client("192.0.2.7:4711"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), ConnectionSource::Proxy),
            (
                b"PROXY UNKNOWN 6.6.6.6 x\xff 1\r\n".to_vec(),
                ConnectionSource::Proxy,
            ),
            (binary(0x21, 0x11, &FOUR), client("192.0.2.7:4711")),
            (binary(0x21, 0x11, &more), client("192.0.2.7:4711")),
            (binary(0x21, 0x21, &six()), client("[2001:db8::7]:4711")),
            (binary(0x20, 0x11, &FOUR), ConnectionSource::Proxy),
            (binary(0x20, 0x00, &[]), ConnectionSource::Proxy),
            (binary(0x21, 0x00, &[1, 2, 3]), ConnectionSource::Proxy),
            (binary(0x21, 0x12, &FOUR), ConnectionSource::Proxy),
            (binary(0x21, 0x31, &[0; 216]), ConnectionSource::Proxy),
            (
                binary(0x21, 0x11, &[7; LONGEST - FIXED]),
                client("7.7.7.7:1799"),
            ),
        ] {
            let shown = String::from_utf8_lossy(&header).into_owned();
            let whole = Ok(Some((source, header.len())));
            assert_eq!(proxy_header(&header), whole, "{shown}");
            let behind = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(proxy_header(&behind), whole, "{shown}");
            for end in 0..header.len() {
                assert_eq!(proxy_header(&header[..end]), Ok(None), "{end} of {shown}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_that_shows() {
        for (begin, error) in [
            (&b"GET / HTTP/1.1\r\n"[..], ProxyHeaderError::Missing),
            (b"PROXz", ProxyHeaderError::Missing),
            (b"proxy TCP4", ProxyHeaderError::Missing),
            (b"\r\n\r\nGET", ProxyHeaderError::Missing),
            (b"\x16\x03\x01", ProxyHeaderError::Missing),
            (b"PROXY \r\n", ProxyHeaderError::Malformed),
            (b"PROXY TCP4\r\n", ProxyHeaderError::Malformed),
            (
                b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
                ProxyHeaderError::Malformed,
            ),
            (
                b"PROXY TCP4 1.1.1.1 ::1 1 2\r\n",
                ProxyHeaderError::Malformed,
            ),
            (
                b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
                ProxyHeaderError::Malformed,
            ),
            (
                b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
                ProxyHeaderError::Malformed,
            ),
            (
                b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
                ProxyHeaderError::Malformed,
            ),
            (
                b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
                ProxyHeaderError::Malformed,
            ),
            (
                b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
                ProxyHeaderError::Malformed,
            ),
            (
                b"PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n",
                ProxyHeaderError::Malformed,
            ),
            (
                b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\r\n",
                ProxyHeaderError::Malformed,
            ),
            (
                b"PROXY TCP4 a.test 2.2.2.2 1 2\r\n",
                ProxyHeaderError::Malformed,
            ),
        ] {
            assert_eq!(
                proxy_header(begin),
                Err(error),
                "{}",
                String::from_utf8_lossy(begin)
            );
        }
        let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        assert_eq!(proxy_header(&endless[..106]), Ok(None));
        assert_eq!(
            proxy_header(&endless[..107]),
            Err(ProxyHeaderError::TooLong)
        );
        let late = [&endless[..106], b"\r\n"].concat();
        assert_eq!(proxy_header(&late), Err(ProxyHeaderError::TooLong));
        let huge = binary(0x21, 0x11, &[0; LONGEST]);
        assert_eq!(proxy_header(&huge[..FIXED]), Err(ProxyHeaderError::TooLong));
        for (command, family, block) in [
            (0x11, 0x11, &FOUR[..]),
            (0x22, 0x11, &FOUR),
            (0x21, 0x11, &FOUR[..11]),
            (0x21, 0x21, &FOUR),
            (0x21, 0x41, &FOUR),
            (0x21, 0x13, &FOUR),
        ] {
            let header = binary(command, family, block);
            assert_eq!(
                proxy_header(&header),
                Err(ProxyHeaderError::Malformed),
                "{header:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(
            begin in proptest::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", SIGNATURE]),
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [begin, &rest].concat();
            if let Ok(Some((_, length))) = proxy_header(&bytes) {
                prop_assert!(length <= bytes.len());
                prop_assert_eq!(proxy_header(&bytes[..length]), proxy_header(&bytes));
            }
        }
    }
}
