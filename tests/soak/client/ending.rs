//! The ways in which a client ends its tunnel.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::client::talk::Talk;
use crate::dice::Dice;
use crate::ledger::How;
use crate::message::Kind;
use crate::message::body;

/// How a client ends its tunnel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// Both say their last.
    InOrder,
    /// Says nothing more in the middle of a talk, and listens on.
    HalfClose,
    /// The same in the middle of a frame.
    HalfCloseInFrame,
    /// The upstream says nothing more, and listens on.
    UpstreamFirst,
    Reset,
    /// A reset in the middle of a frame.
    ResetInFrame,
    /// Closes without reading what there is.
    Vanish,
    /// The upstream resets.
    UpstreamResets,
}

/// Each, as often as the number beside it says.
pub(super) const ENDINGS: [(Ending, u64); 8] = [
    (Ending::InOrder, 40),
    (Ending::HalfClose, 15),
    (Ending::HalfCloseInFrame, 5),
    (Ending::UpstreamFirst, 10),
    (Ending::Reset, 10),
    (Ending::ResetInFrame, 5),
    (Ending::Vanish, 5),
    (Ending::UpstreamResets, 10),
];

impl Ending {
    /// What the ledger is told.
    pub(super) fn how(self) -> How {
        match self {
            Self::InOrder => How::InOrder("both said their last"),
            Self::HalfClose => How::InOrder("the client half-closed, the upstream went on"),
            Self::HalfCloseInFrame => How::InOrder("the client half-closed within a frame"),
            Self::UpstreamFirst => How::InOrder("the upstream half-closed, the client went on"),
            Self::Reset => How::Fault("the client reset"),
            Self::ResetInFrame => How::Fault("the client reset within a frame"),
            Self::Vanish => How::Fault("the client closed without reading"),
            Self::UpstreamResets => How::Fault("the upstream reset"),
        }
    }

    /// What a client says last.
    pub(super) async fn last(
        self,
        talk: &Talk<'_>,
        to: &mut (impl AsyncWriteExt + Unpin),
        dice: &mut Dice,
    ) -> io::Result<()> {
        let length = dice.size(0, 3000);
        match self {
            Self::InOrder => talk.say(to, Kind::Close, &[]).await,
            Self::HalfClose | Self::HalfCloseInFrame => {
                let (count, length) = (dice.between(1, 40) as u32, length as u32);
                let burst = [count.to_be_bytes(), length.to_be_bytes()].concat();
                talk.say(to, Kind::Burst, &burst).await?;
                if self == Self::HalfCloseInFrame {
                    talk.say_part(to, dice).await?;
                }
                to.shutdown().await
            }
            Self::UpstreamFirst => {
                talk.say(to, Kind::YouFirst, &[]).await?;
                for _ in 0..dice.between(1, 10) {
                    sleep(dice.pause(Duration::from_millis(300))).await;
                    talk.say(to, Kind::Push, body(dice, length)).await?;
                }
                to.shutdown().await
            }
            Self::UpstreamResets => talk.say(to, Kind::Reset, &[]).await,
            Self::Reset => talk.say(to, Kind::Ask, body(dice, length)).await,
            Self::Vanish => {
                let burst = [20_u32.to_be_bytes(), 1000_u32.to_be_bytes()].concat();
                talk.say(to, Kind::Burst, &burst).await
            }
            Self::ResetInFrame => talk.say_part(to, dice).await,
        }
    }
}
