//! Plain requests: the answer says what was asked, and what of the request arrived.

use std::io;

use tokio::net::TcpStream;

use crate::dice::Dice;
use crate::http::Head;
use crate::http::Http;
use crate::http::framed;
use crate::message::body;
use crate::message::checksum;

/// What a request for `number` and `size` is answered with.
pub(crate) fn content(number: u64, size: usize) -> &'static [u8] {
    body(&mut Dice::of(number, 1), size)
}

/// Answers one request; false where the connection is to be reset.
pub(super) async fn answer(http: &mut Http<TcpStream>, head: &Head) -> io::Result<bool> {
    let sent = http.body(head).await?;
    let number = head.parsed("number").unwrap_or(0);
    let content = content(number, head.parsed("size").unwrap_or(0) as usize);
    let way = head.parameter("way").unwrap_or_default();
    if way == "reset" {
        return Ok(false);
    }
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nX-Number: {number}\r\nX-Length: {}\r\nX-Sum: {}\r\n",
        sent.len(),
        checksum(&sent)
    )
    .into_bytes();
    answer.extend(framed(content, way == "chunked"));
    if way == "cut" {
        answer.truncate(answer.len() - content.len() / 2 - 1);
        http.send(&answer).await?;
        return Ok(false);
    }
    http.send(&answer).await?;
    Ok(true)
}
