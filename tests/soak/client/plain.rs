//! A client of plain requests, on a connection that it keeps: each answer tells what was asked, and what of the request arrived.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::timeout;

use crate::dice::Dice;
use crate::doors::Entrance;
use crate::doors::Room;
use crate::http::Http;
use crate::http::framed;
use crate::http::reset;
use crate::message::body;
use crate::message::checksum;
use crate::upstream::content;
use crate::wire::Wire;
use crate::world::World;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(45);

/// How a request goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Length,
    Chunked,
    /// The upstream resets the connection before it answers.
    Reset,
    /// The same within the answer.
    Cut,
    /// The client resets the connection before the answer is there.
    Leave,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Length | Self::Leave => "length",
            Self::Chunked => "chunked",
            Self::Reset => "reset",
            Self::Cut => "cut",
        }
    }
}

/// Some requests on one connection; how long to wait before the next one.
pub(super) async fn live(world: &World, id: u64, entrance: Entrance, mut dice: Dice) -> Duration {
    let place = dice.below(world.children.len() as u64) as usize;
    let child = &world.children[place];
    let mut begun = Instant::now();
    let mut http = match world
        .doors
        .connect(entrance, child.address, Room::Usual)
        .await
    {
        Ok(wire) => Http::new(wire),
        Err(error) => {
            world.find(format!("{id}: {entrance:?}: cannot connect: {error}"));
            return dice.pause(Duration::from_secs(1));
        }
    };
    for turn in 0..dice.between(1, 20) {
        if world.stopping.get() {
            break;
        }
        let way = dice.weighted(&[
            (Way::Length, 60),
            (Way::Chunked, 30),
            (Way::Reset, 3),
            (Way::Cut, 3),
            (Way::Leave, 4),
        ]);
        let number = id << 8 | turn;
        let asked = timeout(PATIENCE, ask(&mut http, place, number, way, &mut dice)).await;
        let failed = match asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(true) => {
                world.count("plain requests answered");
                None
            }
            Ok(false) => None,
            Err(error) => Some(error),
        };
        match (way, failed) {
            (Way::Length | Way::Chunked, None) => {}
            (Way::Reset | Way::Cut, Some(_)) => {
                world.count("plain requests that their upstream reset");
                break;
            }
            (Way::Leave, _) => {
                reset(http.stream);
                world.count("plain requests that their client reset");
                break;
            }
            (_, Some(_)) if child.explains(begun) => {
                world.count("plain requests that failed while their upstream was down");
                break;
            }
            (way, failed) => {
                world.ledger.borrow_mut().lost += 1;
                world.find(format!(
                    "{number}: {entrance:?}, a request: {way:?}: {failed:?}"
                ));
                break;
            }
        }
        // The head of the answer to the next one may say what became of the connection meanwhile.
        begun = Instant::now();
        world.pause(dice.pause(Duration::from_secs(3))).await;
    }
    dice.pause(Duration::from_secs(1))
}

/// One request; false if it was left alone.
async fn ask(
    http: &mut Http<Wire>,
    place: usize,
    number: u64,
    way: Way,
    dice: &mut Dice,
) -> io::Result<bool> {
    let size = dice.weighted(&[(0, 1), (200, 5), (5_000, 3), (100_000, 1)]);
    let size = dice.size(0, size + 1);
    let posts = dice.percent(40);
    let method = if posts { "POST" } else { "GET" };
    let mut request = format!(
        "{method} /plain/{place}/?number={number}&size={size}&way={} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n",
        way.name()
    )
    .into_bytes();
    let length = dice.weighted(&[(200, 6), (5_000, 3), (100_000, 1)]);
    let length = dice.size(0, length);
    let sent = if posts { body(dice, length) } else { &[] };
    match posts {
        true => request.extend(framed(sent, dice.percent(30))),
        false => request.extend(b"\r\n"),
    }
    if way == Way::Leave {
        request.truncate(dice.size(request.len() / 2, request.len() + 1));
        http.send(&request).await?;
        return Ok(false);
    }
    let (head, came) = http.ask(&request).await?;
    if head.status() != 200 {
        return Err(io::Error::other(head.first));
    }
    let expected = content(number, size);
    let arrived = (head.number("x-length"), head.number("x-sum"));
    let wrong = head.number("x-number") != Some(number)
        || arrived != (Some(sent.len() as u64), Some(checksum(sent)))
        || came != expected;
    match wrong {
        true => Err(io::Error::other(format!(
            "another answer: {head:?}, {} bytes of {size}",
            came.len()
        ))),
        false => Ok(true),
    }
}
