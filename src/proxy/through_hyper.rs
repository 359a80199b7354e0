//! The way of a request whose head hyper has read, and whose answer hyper writes.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use http::Request;
use http_body::Body as _;
use hyper::body::Incoming;

use crate::decision::Framing;
use crate::proxy::answer::Answer;
use crate::proxy::answer::Answered;
use crate::proxy::answer::ReadyAnswer;
use crate::proxy::connection::ClientConnection;
use crate::proxy::exchange::exchange;
use crate::proxy::prepare::Prepared;
use crate::proxy::prepare::PreparedRequest;
use crate::proxy::prepare::prepare;
use crate::proxy::request_body::AnswerClock;
use crate::proxy::request_body::RequestBody;

/// Answers one request. Never fails: what goes wrong is an answer too.
///
/// # Cancel safety
/// Dropping the future abandons the request, and the upstream sees its connection end.
pub async fn answer(connection: Rc<ClientConnection>, request: Request<Incoming>) -> Answered {
    let version = request.version();
    let (mut head, body) = request.into_parts();
    let body = (!body.is_end_stream()).then_some(body);
    let framing = match &body {
        None => Framing::None,
        Some(body) if body.size_hint().exact().is_some() => Framing::Length,
        Some(_) => Framing::Chunked,
    };
    let PreparedRequest {
        mut report,
        mut changes,
        to,
    } = prepare(&connection, &mut head, framing);
    let body = RequestBody::new(body, Rc::new(AnswerClock::begin(report.started())));
    let request = Request::from_parts(head, body);
    let answer = match to {
        Ok(Prepared::Own(response)) => Ok(Answer::Own(response)),
        Ok(Prepared::Forward(mut to)) => {
            let answer = exchange(&connection, &mut to, request, &mut report).await;
            if answer.is_ok() {
                to.set_cookie(changes.as_deref_mut());
            }
            answer
        }
        Err(error) => Err(error),
    };
    let ready = ReadyAnswer {
        answer,
        report,
        changes,
    };
    ready.answered(connection, version)
}

/// Answers the request that was read before hyper read it again, with the answer that is ready for it.
pub async fn answer_ready(
    connection: Rc<ClientConnection>,
    request: Request<Incoming>,
    ready: ReadyAnswer,
) -> Answered {
    let version = request.version();
    // The body is out already, and unread it would end the connection.
    read_to_the_end(request.into_body()).await;
    ready.answered(connection, version)
}

async fn read_to_the_end(mut body: Incoming) {
    while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {}
}
