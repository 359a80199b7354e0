//! A client with a tunnel: it opens it, talks for a while, and ends it in one of many ways.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::io::split;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::children::Origin;
use crate::client::ending::ENDINGS;
use crate::client::ending::Ending;
use crate::client::talk::Heard;
use crate::client::talk::Talk;
use crate::dice::Dice;
use crate::doors::Entrance;
use crate::doors::Room;
use crate::http::Http;
use crate::http::reset;
use crate::ledger::Client;
use crate::ledger::How;
use crate::wire::Wire;
use crate::world::Open;
use crate::world::World;

/// Longest wait for a 101, and for the end of a tunnel that is to end: a slow reader may have much to read.
const PATIENCE: Duration = Duration::from_secs(45);

/// One tunnel from its opening to its end; how long to wait before the next.
pub(super) async fn live(world: &World, id: u64, entrance: Entrance, mut dice: Dice) -> Duration {
    let place = dice.below(world.children.len() as u64) as usize;
    let child = &world.children[place];
    let begun = Instant::now();
    let ending = match entrance {
        Entrance::Direct => Ending::InOrder,
        Entrance::Plain | Entrance::Tls => dice.weighted(&ENDINGS),
    };
    let room = match dice.percent(10) {
        true => Room::Little,
        false => Room::Usual,
    };
    let opened = timeout(PATIENCE, open(world, (place, id), entrance, room));
    let (http, generation) = match opened
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    {
        Ok(opened) => opened,
        Err(error) => {
            world.ledger.borrow_mut().abandon(id);
            match child.explains(begun) {
                true => world.count("tunnels refused while their upstream was down"),
                false => world.find(format!("{id}: {entrance:?}: no tunnel: {error}")),
            }
            return dice.pause(Duration::from_secs(1));
        }
    };
    world.count(match entrance {
        Entrance::Plain => "tunnels over ws",
        Entrance::Tls => "tunnels over wss",
        Entrance::Direct => "tunnels past wsgate",
    });
    let _open = Open::new(world);
    let talk = Talk::new(world, entrance, id);
    let how = match run(&talk, http, ending, &mut dice).await {
        Ok(how) => how,
        Err(Heard::Cut(_)) if child.is_gone(generation) => How::Killed,
        Err(heard) => {
            world.ledger.borrow_mut().lost += u64::from(matches!(heard, Heard::Wrong(_)));
            world.find(format!(
                "{id}: {entrance:?}, {ending:?}: {heard:?}, {:?}",
                talk.account()
            ));
            world.ledger.borrow_mut().suspect(id);
            return dice.pause(Duration::from_secs(1));
        }
    };
    let client = Client {
        origin: Origin { place, generation },
        account: talk.account(),
        unacknowledged: talk.unacknowledged(),
        how,
    };
    world.ledger.borrow_mut().client(id, client);
    dice.pause(Duration::from_millis(500))
}

/// Opens it; the upstream's process is the second.
async fn open(
    world: &World,
    (place, id): (usize, u64),
    entrance: Entrance,
    room: Room,
) -> io::Result<(Http<Wire>, u64)> {
    let child = &world.children[place];
    let wire = world.doors.connect(entrance, child.address, room).await?;
    let mut http = Http::new(wire);
    let request = format!(
        "GET /ws/{place}/{id} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Origin: http://localhost\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    http.send(request.as_bytes()).await?;
    let head = http.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    match head.number("x-generation") {
        Some(generation) if head.status() == 101 => Ok((http, generation)),
        _ => {
            let text = http.body(&head).await.unwrap_or_default();
            Err(io::Error::other(format!(
                "{}: {}",
                head.first,
                String::from_utf8_lossy(&text)
            )))
        }
    }
}

/// Talks and ends the tunnel; an error if it ended by itself.
async fn run(
    talk: &Talk<'_>,
    http: Http<Wire>,
    ending: Ending,
    dice: &mut Dice,
) -> Result<How, Heard> {
    let world = talk.world;
    let (mut from, mut to) = split(http.stream);
    let most = dice.weighted(&[(60, 8), (1000, 2)]);
    let steps = dice.between(3, most);
    let over = {
        let mut hearing = pin!(talk.hear(&mut from, http.read));
        let talking = async {
            for _ in 0..steps {
                world.pause(dice.pause(Duration::from_secs(2))).await;
                if world.stopping.get() {
                    break;
                }
                talk.step(&mut to, dice).await?;
            }
            io::Result::Ok(())
        };
        let talked = tokio::select! {
            heard = &mut hearing => return Err(early(heard)),
            talked = talking => talked,
        };
        if let Err(error) = talked {
            return Err(Heard::Cut(format!("writing: {error}")));
        }
        let finishing = async {
            let said = ending.last(talk, &mut to, dice).await;
            match (ending, said) {
                (Ending::Reset | Ending::ResetInFrame | Ending::Vanish, _) => Some(Ok(ending)),
                (_, Ok(())) => None,
                (_, Err(error)) => Some(Err(Heard::Cut(format!("writing the last: {error}")))),
            }
        };
        // Both go on until both are done: an upstream may say its last before the client does.
        let mut heard = None;
        let mut finishing = pin!(finishing);
        let both = async {
            let finished = tokio::select! {
                finished = &mut finishing => finished,
                early = &mut hearing => {
                    heard = Some(early);
                    finishing.await
                }
            };
            match finished {
                Some(over) => over,
                None => {
                    let heard = match heard {
                        Some(heard) => heard,
                        None => hearing.await,
                    };
                    match (ending, heard) {
                        (Ending::UpstreamResets, Heard::Cut(_)) => Ok(ending),
                        (_, Heard::Last) if ending != Ending::UpstreamResets => Ok(ending),
                        (_, heard) => Err(heard),
                    }
                }
            }
        };
        timeout(PATIENCE, both).await.map_err(|_| Heard::Hung)??
    };
    match over {
        Ending::Reset | Ending::ResetInFrame => reset(from.unsplit(to)),
        Ending::InOrder | Ending::UpstreamFirst => {
            let _ = to.shutdown().await;
        }
        _ => {}
    }
    Ok(over.how())
}

/// The end of a tunnel that should go on.
fn early(heard: Heard) -> Heard {
    match heard {
        Heard::Last => Heard::Cut("the upstream said its last unasked".to_owned()),
        heard => heard,
    }
}
