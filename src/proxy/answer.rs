//! How a request ends, and what hyper is given to write of it.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::Version;
use http::response::Parts;
use http_body::Body as _;
use hyper::body::Incoming;

use crate::proxy::answer_body::AnswerBody;
use crate::proxy::connection::ClientConnection;
use crate::proxy::error::ProxyError;
use crate::proxy::lease::HttpLease;
use crate::proxy::refusal::refusal;
use crate::proxy::report::Report;
use crate::proxy::switch::Switch;
use crate::stream::Stream;
use crate::tunnel;
use crate::tunnel::End;

/// How a request ends well.
#[derive(Debug)]
pub(super) enum Answer {
    /// wsgate's own words.
    Own(Response<Bytes>),
    /// The upstream's answer, whose body follows over this connection.
    Upstream {
        head: Box<Parts>,
        body: Incoming,
        lease: HttpLease,
    },
    /// The upstream agreed to the upgrade.
    Switch {
        head: Box<Parts>,
        upstream: End<Stream>,
        timeouts: tunnel::TunnelTimeouts,
    },
}

/// The end of a request for which nothing has been written to the client yet: hyper has to write it.
#[derive(Debug)]
pub struct ReadyAnswer {
    pub(super) answer: Result<Answer, ProxyError>,
    pub(super) report: Report,
}

/// What hyper writes, and what becomes of the connection behind it.
#[derive(Debug)]
pub struct Answered {
    /// The answer.
    pub response: Response<AnswerBody>,
    /// The tunnel that the answer promises, if it is a 101. It begins when that is out.
    pub switch: Option<Box<Switch>>,
    /// Whether only the end of the connection ends the answer, so that an end in order would complete it.
    pub ends_with_connection: bool,
}

impl ReadyAnswer {
    /// Whether it is a 101.
    pub fn is_switch(&self) -> bool {
        matches!(self.answer, Ok(Answer::Switch { .. }))
    }

    /// What hyper writes to a client that asked in this version of HTTP.
    pub(super) fn answered(self, connection: Rc<ClientConnection>, version: Version) -> Answered {
        let Self { answer, mut report } = self;
        let (response, switch) = match answer {
            Ok(Answer::Own(response)) => {
                let (head, text) = response.into_parts();
                report.answered_here(head.status);
                let body = AnswerBody::own(text, Some(report));
                (Response::from_parts(head, body), None)
            }
            Ok(Answer::Upstream { head, body, lease }) => {
                report.answered(head.status, |name| {
                    head.headers.get(name).map(HeaderValue::as_bytes)
                });
                // HTTP/1.0 has no chunks.
                let ends_with_connection =
                    version <= Version::HTTP_10 && body.size_hint().exact().is_none();
                let body = AnswerBody::upstream(body, lease, connection, report);
                return Answered {
                    response: Response::from_parts(*head, body),
                    switch: None,
                    ends_with_connection,
                };
            }
            Ok(Answer::Switch {
                head,
                upstream,
                timeouts,
            }) => {
                report.switches(|| connection.take_permit());
                let switch = Switch::new(upstream, timeouts, report);
                let body = AnswerBody::own(Bytes::new(), None);
                (Response::from_parts(*head, body), Some(Box::new(switch)))
            }
            Err(error) => {
                report.failed(error.status(), error.reason());
                let response = refusal(&error);
                (
                    response.map(|text| AnswerBody::own(text, Some(report))),
                    None,
                )
            }
        };
        Answered {
            response,
            switch,
            ends_with_connection: false,
        }
    }
}
