//! A request's head, from the bytes of a client to those for the upstream, on both ways that it may go.
//!
//! - What is written is one clear head to the strict reader of `tests/hostile`, and all readers agree where it ends: one
//!   Host, at most one framing, no hop-by-hop field, no control byte.
//! - It has the method and the target of the client, its Content-Length if it has one, and asks for a WebSocket if and only
//!   if that was found in the client's.
//! - What the short way takes hyper takes too, and both write the same.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use http::Method;
use http::Request;
use http::Response;
use http::header;
use http::request::Parts;
use http_body::Body as _;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::service::service_fn;
use wsgate::decision::Becomes;
use wsgate::decision::Client;
use wsgate::decision::Framing;
use wsgate::decision::Passing;
use wsgate::decision::check;
use wsgate::decision::decide;
use wsgate::decision::rewrite;
use wsgate::headers::forwarded;
use wsgate::headers::forwarded::Scheme;
use wsgate::headers::forwarded::Sender;
use wsgate::headers::spelling::Spelling;
use wsgate::headers::upgrade::Asked;
use wsgate::headers::upgrade::Body;
use wsgate::http1;
use wsgate::http1::RequestPurpose;
use wsgate::table::Table;

use crate::file;
use crate::hostile;
use crate::hostile::Next;

const ROUTES: &str = "
listen: [{ address: 8080 }]
routes:
  - { location: /, proxy_pass: 'http://127.0.0.1:1' }
  - { location: /set, proxy_pass: 'http://127.0.0.1:1', set_headers: { X-Uri: $request_uri, X-Host: $host, X-Out: '' } }
  - { location: /new/, proxy_pass: 'http://127.0.0.1:1/other/' }
  - { location: /old, return: 404 }
";

/// As wsgate gives them to hyper.
const MAX_BUFFER: usize = 64 * 1024;

thread_local! {
    static TABLE: Table<()> = {
        let (config, _) = file::read(ROUTES.as_bytes()).expect("a configuration");
        Table::new(&config, |_, _| ())
    };
}

/// Holds the above.
pub fn run(data: &[u8]) {
    let short = short(data);
    let long = long(data);
    match (&short, &long) {
        (Some(short), Some(long)) => {
            assert_eq!(
                short.as_ref().map(|head| lines(head)),
                long.as_ref().map(|head| lines(head)),
                "the two ways differ"
            );
        }
        (Some(_), None) => panic!("hyper does not take what the short way takes"),
        (None, _) => {}
    }
}

fn lines(head: &[u8]) -> Vec<String> {
    let text = head.escape_ascii().to_string();
    let mut lines: Vec<String> = text.split("\\r\\n").map(str::to_owned).collect();
    // One way has `X:` and the other `X: ` where there is no value, and the order is the map's.
    lines
        .iter_mut()
        .for_each(|line| line.truncate(line.trim_end().len()));
    lines.sort_unstable();
    lines
}

/// The short way: `None` if it does not take the head, and in it `None` if nothing is passed on.
fn short(data: &[u8]) -> Option<Option<Vec<u8>>> {
    let bytes = Bytes::copy_from_slice(data);
    let (mut request, kind) = http1::read_request(&bytes)?;
    let rest = data
        .len()
        .checked_sub(request.length)
        .expect("no more than there is");
    let framing = match kind {
        RequestPurpose::Upgrade => Framing::None,
        RequestPurpose::Ordinary(None) if rest == 0 => Framing::None,
        RequestPurpose::Ordinary(Some(length)) if rest == length => Framing::Length,
        // It did not come whole, or more than it did: that is hyper's.
        RequestPurpose::Ordinary(_) => return None,
    };
    let before = request.parts.clone();
    let Some(asked) = pass(&mut request.parts, framing) else {
        return Some(None);
    };
    assert_eq!(asked != Asked::Nothing, kind == RequestPurpose::Upgrade);
    let written = http1::write_request(&request.parts, &request.names, &Spelling::default());
    holds(&before, &asked, framing, &written);
    Some(Some(written))
}

/// Through hyper, from the first byte to the last.
fn long(data: &[u8]) -> Option<Option<Vec<u8>>> {
    let (mut parts, framing) = read_by_hyper(data)?;
    let before = parts.clone();
    let Some(asked) = pass(&mut parts, framing) else {
        return Some(None);
    };
    let written = write_by_hyper(parts, framing)?;
    holds(&before, &asked, framing, &written);
    Some(Some(written))
}

/// What `prepare` of `proxy` does with a head.
fn pass(head: &mut Parts, framing: Framing) -> Option<Asked> {
    let body = match framing {
        Framing::None => Body::None,
        Framing::Length | Framing::Chunked => Body::Some,
    };
    let client = Client {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 4711)),
        scheme: Scheme::Http,
        port: 8080,
        redirect: None,
    };
    let checked = check(head, body).ok()?;
    TABLE.with(|table| {
        let decision = decide(&table.sites, &client, head, &checked);
        let Ok(Becomes::Forward { forward, target }) = decision.becomes else {
            return None;
        };
        let address = forwarded::address(client.address.ip());
        let passing = Passing {
            checked: &checked,
            client: &client,
            sender: Sender::Client(&address),
            forward,
        };
        rewrite(head, target, framing, &passing).ok()
    })?;
    Some(checked.asked)
}

/// What the strict reader must see.
fn holds(before: &Parts, asked: &Asked, framing: Framing, written: &[u8]) {
    let shown = || written.escape_ascii();
    let seen = match hostile::next(written) {
        Next::Whole(seen) | Next::Partial(Some(seen)) => seen,
        Next::Partial(None) => panic!("half a head: {}", shown()),
        Next::Garbage(why) => panic!("{why}\n{}", shown()),
    };
    assert_eq!(seen.length, written.len(), "more than a head: {}", shown());
    hostile::agree(written).unwrap_or_else(|why| panic!("{why}\n{}", shown()));
    let mut words = seen.first.split(|byte| *byte == b' ');
    assert_eq!(words.next(), Some(before.method.as_str().as_bytes()));
    let target = words.next().expect("a target");
    let asked_for = before
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    if !target.starts_with(b"/other/") {
        let same = asked_for.as_bytes() == target
            || asked_for
                .strip_prefix('?')
                .is_some_and(|query| [b"/?", query.as_bytes()].concat() == target);
        assert!(same, "another target: {asked_for} {}", shown());
    }
    assert_eq!(seen.is_upgrade, *asked != Asked::Nothing, "{}", shown());
    let values = |name: &str| {
        let fields = seen.fields.iter();
        let fields = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        fields.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let before_values = |name: &str| {
        let all = before.headers.get_all(name).iter();
        all.map(|value| value.as_bytes().trim_ascii().to_vec())
            .collect::<Vec<_>>()
    };
    match framing {
        Framing::None => assert!(values("transfer-encoding").is_empty(), "{}", shown()),
        Framing::Length => {
            assert_eq!(
                values("content-length").first(),
                before_values("content-length").first(),
                "{}",
                shown()
            );
        }
        Framing::Chunked => assert_eq!(values("transfer-encoding"), [b"chunked"], "{}", shown()),
    }
    assert_eq!(values("host"), before_values("host"), "{}", shown());
}

/// A socket in memory: these bytes come in and then no more, and what goes out is kept.
#[derive(Clone, Debug, Default)]
struct Memory {
    incoming: Bytes,
    outgoing: Rc<RefCell<Vec<u8>>>,
}

impl hyper::rt::Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.incoming.is_empty() {
            return Poll::Pending;
        }
        let length = self.incoming.len().min(buf.remaining());
        buf.put_slice(&self.incoming.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.outgoing.borrow_mut().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The first head that hyper finds, and the framing that `forward` of `proxy` makes of it.
fn read_by_hyper(data: &[u8]) -> Option<(Parts, Framing)> {
    let found = RefCell::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let (parts, body) = request.into_parts();
        let framing = match &body {
            body if body.is_end_stream() => Framing::None,
            body if body.size_hint().exact().is_some() => Framing::Length,
            _ => Framing::Chunked,
        };
        found.borrow_mut().get_or_insert((parts, framing));
        // Nothing behind it is of interest.
        pending::<Result<Response<Silent>, Infallible>>()
    });
    {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .max_buf_size(MAX_BUFFER)
            .max_headers(http1::MAX_LINES)
            .auto_date_header(false)
            .preserve_header_case(true)
            .title_case_headers(true);
        let io = Memory {
            incoming: Bytes::copy_from_slice(data),
            ..Memory::default()
        };
        let connection = pin!(builder.serve_connection(io, service));
        let _ = connection.poll(&mut Context::from_waker(Waker::noop()));
    }
    found.into_inner()
}

/// What hyper writes of a head.
fn write_by_hyper(parts: Parts, framing: Framing) -> Option<Vec<u8>> {
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let body = match framing {
        Framing::None => Silent(Some(0)),
        Framing::Length => Silent(Some(length.expect("a length"))),
        Framing::Chunked => Silent(None),
    };
    let head = parts.method == Method::HEAD;
    let io = Memory::default();
    let outgoing = Rc::clone(&io.outgoing);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder
        .preserve_header_case(true)
        .title_case_headers(true)
        .max_buf_size(MAX_BUFFER);
    let Poll::Ready(Ok((mut sender, connection))) = pin!(builder.handshake(io)).poll(cx) else {
        panic!("hyper waits before it has said anything");
    };
    let mut connection = pin!(connection);
    let mut answer = pin!(sender.send_request(Request::from_parts(parts, body)));
    for _ in 0..3 {
        let _ = answer.as_mut().poll(cx);
        let _ = connection.as_mut().poll(cx);
    }
    let written = outgoing.borrow().clone();
    assert!(!written.is_empty() || head, "hyper writes nothing");
    Some(written)
}

/// A body of this length, or in chunks, of which nothing comes.
struct Silent(Option<u64>);

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0 {
            Some(0) => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0 == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
