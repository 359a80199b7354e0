//! An upstream's body on its way to the client, or wsgate's own words.
//!
//! It streams unbuffered with the slower side's pace. Trailers are dropped (RFC 9110 §6.5.1 allows it).

use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;

use crate::affinity::SessionNeed;
use crate::proxy::connection::ClientConnection;
use crate::proxy::error::Innermost;
use crate::proxy::group_request::NewSessions;
use crate::proxy::lease::HttpLease;
use crate::proxy::lease::Lease;
use crate::proxy::report::Report;
use crate::proxy::session::keeps;
use crate::proxy::upstream_body::UpstreamBody;

/// An answer's body. It carries the exchange's report, and gives the upstream's connection back when it is whole.
#[derive(Debug)]
pub struct AnswerBody {
    content: Content,
    report: Option<Report>,
}

#[derive(Debug)]
enum Content {
    Own(Bytes),
    Upstream {
        incoming: UpstreamBody,
        over: Option<AnswerConnection>,
        connection: Rc<ClientConnection>,
    },
}

/// The connection over which an upstream answers, and for which session it is kept afterwards.
#[derive(Debug)]
pub(super) struct AnswerConnection {
    pub(super) lease: HttpLease,
    /// What the request had to do with sessions. A new one is looked for in the first data of the body, with which it comes as a
    /// rule; where it does not, the session has a connection of its own.
    pub(super) session: SessionNeed,
    /// Where a session is remembered that the answer opens. Boxed, since most routes have one server.
    pub(super) new_sessions: Option<Box<NewSessions>>,
}

impl AnswerConnection {
    /// The answer's body begins so.
    fn hears(&mut self, begin: &[u8]) {
        let need = std::mem::replace(&mut self.session, SessionNeed::Nothing);
        let new_sessions = self.new_sessions.take();
        self.lease.session = keeps(need, self.lease.session, begin, new_sessions.as_deref());
    }

    /// The answer is over.
    fn into_idle(mut self) -> Lease {
        self.hears(&[]);
        self.lease.into_idle()
    }
}

impl AnswerBody {
    /// wsgate's own words.
    pub(super) fn own(text: impl Into<Bytes>, report: Option<Report>) -> Self {
        Self {
            content: Content::Own(text.into()),
            report,
        }
    }

    /// What the upstream sends over a connection, which `connection` keeps afterwards.
    pub(super) fn upstream(
        incoming: UpstreamBody,
        over: AnswerConnection,
        connection: Rc<ClientConnection>,
        report: Report,
    ) -> Self {
        Self {
            content: Content::Upstream {
                incoming,
                over: Some(over),
                connection,
            },
            report: Some(report),
        }
    }

    /// The body is whole: what comes next on this connection may use the upstream's again.
    fn finish(&mut self) {
        if let Content::Upstream {
            over, connection, ..
        } = &mut self.content
            && let Some(over) = over.take()
        {
            connection.keep(over.into_idle());
        }
        if let Some(report) = self.report.take() {
            report.completed(0);
        }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = match &mut this.content {
            Content::Own(text) if text.is_empty() => Poll::Ready(None),
            Content::Own(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Content::Upstream { incoming, .. } => incoming.poll_frame(cx),
        };
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(report), Some(data)) = (&mut this.report, frame.data_ref()) {
                    report.sends(data);
                }
                if let (Content::Upstream { over, .. }, Some(data)) =
                    (&mut this.content, frame.data_ref())
                    && let Some(over) = over
                {
                    over.hears(data);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                if let Some(report) = this.report.take() {
                    report.broke_off(&Innermost(error).to_string());
                }
            }
            Poll::Ready(None) => this.finish(),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(text) => text.is_empty(),
            Content::Upstream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(text) => SizeHint::with_exact(text.len() as u64),
            Content::Upstream { incoming, .. } => incoming.size_hint(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        // A body of known length is not asked for its end.
        if http_body::Body::is_end_stream(self) {
            self.finish();
        }
    }
}
