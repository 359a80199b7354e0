//! How a request ends, and what hyper is given to write of it.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::Version;
use http::header;
use http::response::Parts;

use crate::affinity::LONGEST_REFUSAL;
use crate::answer_fields::AnswerChanges;
use crate::headers::spelling::Spelling;
use crate::headers::upgrade::Asked;
use crate::proxy::answer_body::AnswerBody;
use crate::proxy::answer_body::AnswerConnection;
use crate::proxy::connection::ClientConnection;
use crate::proxy::error::ProxyError;
use crate::proxy::group_request::AttemptOutcome;
use crate::proxy::refusal::refusal;
use crate::proxy::report::Report;
use crate::proxy::switch::Switch;
use crate::proxy::upstream_body::UpstreamBody;
use crate::proxy::upstream_request::UpstreamRequest;
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
        body: UpstreamBody,
        over: AnswerConnection,
    },
    /// The upstream agreed to the upgrade.
    Switch {
        head: Box<Parts>,
        upstream: End<Stream>,
        timeouts: tunnel::TunnelTimeouts,
    },
}

impl Answer {
    /// What it means to a request to a group, as far as that decides whether another server is asked.
    pub(super) async fn attempt(&mut self, to: &UpstreamRequest) -> AttemptOutcome<'_> {
        match self {
            Self::Switch { .. } => AttemptOutcome::Switched,
            Self::Upstream { head, body, .. } => {
                let looks = to.in_group.as_ref();
                let body = match looks.is_some_and(|group| group.looks_into(head.status)) {
                    true => body.look(LONGEST_REFUSAL).await,
                    false => None,
                };
                match to.asked {
                    Asked::WebSocket(_) => AttemptOutcome::Refused(head.status, body),
                    Asked::Nothing => AttemptOutcome::Answered(head.status, body),
                }
            }
            Self::Own(_) => AttemptOutcome::Failed,
        }
    }
}

/// The end of a request for which nothing has been written to the client yet: hyper has to write it.
#[derive(Debug)]
pub struct ReadyAnswer {
    pub(super) answer: Result<Answer, ProxyError>,
    pub(super) report: Report,
    /// What its route changes in it.
    pub(super) changes: Option<Box<AnswerChanges>>,
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
    /// How the fields are spelled that the route adds.
    pub spelling: Spelling,
}

impl ReadyAnswer {
    /// Whether it is a 101.
    pub fn is_switch(&self) -> bool {
        matches!(self.answer, Ok(Answer::Switch { .. }))
    }

    /// What hyper writes to a client that asked in this version of HTTP.
    pub(super) fn answered(self, connection: Rc<ClientConnection>, version: Version) -> Answered {
        let Self {
            answer,
            mut report,
            changes,
        } = self;
        let changes = changes.as_deref();
        match answer {
            Ok(Answer::Own(response)) => {
                report.answered_here(response.status());
                Answered::own(response, report, changes)
            }
            Ok(Answer::Upstream {
                mut head,
                body,
                over,
            }) => {
                report.answered(head.status, |name| {
                    head.headers.get(name).map(HeaderValue::as_bytes)
                });
                let spelling = changes.map(|changes| changes.change(&mut head));
                // HTTP/1.0 has no chunks.
                let ends_with_connection =
                    version <= Version::HTTP_10 && body.size_hint().exact().is_none();
                if ends_with_connection {
                    // To a client that asked for it hyper would promise that the connection stays, in any version but this.
                    head.version = version;
                    head.headers
                        .insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                let body = AnswerBody::upstream(body, over, connection, report);
                Answered {
                    response: Response::from_parts(*head, body),
                    switch: None,
                    ends_with_connection,
                    spelling: spelling.unwrap_or_default(),
                }
            }
            Ok(Answer::Switch {
                mut head,
                upstream,
                timeouts,
            }) => {
                if let Some(changes) = changes {
                    changes.change_switch(&mut head);
                }
                report.switches(|| connection.take_permit());
                Answered::switch(*head, Switch::new(upstream, timeouts, report))
            }
            Err(error) => {
                report.failed(error.status(), error.reason());
                Answered::own(refusal(&error), report, changes)
            }
        }
    }
}

impl Answered {
    /// A 101, and what it leads to.
    fn switch(head: Parts, switch: Switch) -> Self {
        Self {
            response: Response::from_parts(head, AnswerBody::own(Bytes::new(), None)),
            switch: Some(Box::new(switch)),
            ends_with_connection: false,
            spelling: Spelling::default(),
        }
    }

    /// wsgate's own answer.
    fn own(response: Response<Bytes>, report: Report, changes: Option<&AnswerChanges>) -> Self {
        let (mut head, text) = response.into_parts();
        let spelling = changes.map(|changes| changes.change_own(&mut head));
        Self {
            response: Response::from_parts(head, AnswerBody::own(text, Some(report))),
            switch: None,
            ends_with_connection: false,
            spelling: spelling.unwrap_or_default(),
        }
    }
}
