//! What the process of wsgate takes, and how long messages take, window by window.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use crate::gate::descriptors;
use crate::process::Process;
use crate::world::Latencies;
use crate::world::World;

/// One window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Since the beginning.
    pub(crate) at: Duration,
    /// Memory that belongs to wsgate alone.
    pub(crate) kib: f64,
    pub(crate) descriptors: usize,
    /// Of one core.
    pub(crate) cpu: f64,
    /// Tunnels and sessions.
    pub(crate) open: usize,
    /// From a message to its answer, in milliseconds; none without any.
    pub(crate) through: Option<Percentiles>,
    /// The same past wsgate.
    pub(crate) direct: Option<Percentiles>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Percentiles {
    pub(crate) median: f64,
    pub(crate) p99: f64,
}

/// Looks, from time to time.
#[derive(Debug)]
pub(crate) struct Sampler {
    id: u32,
    begun: Instant,
    last: (Instant, Duration),
    pub(crate) samples: Vec<Sample>,
}

impl Sampler {
    pub(crate) fn new(process: &Process, id: u32) -> Self {
        let now = Instant::now();
        Self {
            id,
            begun: now,
            last: (now, process.cpu()),
            samples: Vec::new(),
        }
    }

    /// Takes what has come together since the last time.
    pub(crate) fn take(&mut self, process: &Process, world: &World) {
        let (now, cpu) = (Instant::now(), process.cpu());
        let (then, before) = std::mem::replace(&mut self.last, (now, cpu));
        let percentiles = |latencies: &RefCell<Latencies>| {
            let window = &mut latencies.borrow_mut().window;
            let at = |quantile| window.value_at_quantile(quantile) as f64 / 1000.0;
            let percentiles = (!window.is_empty()).then(|| Percentiles {
                median: at(0.5),
                p99: at(0.99),
            });
            window.reset();
            percentiles
        };
        self.samples.push(Sample {
            at: self.begun.elapsed(),
            kib: process.memory(),
            descriptors: descriptors(self.id),
            cpu: (cpu - before).as_secs_f64() / (now - then).as_secs_f64(),
            open: world.open.get(),
            through: percentiles(&world.through),
            direct: percentiles(&world.direct),
        });
    }
}

/// By how much a figure grows in an hour, by the line that is nearest to all samples.
pub(crate) fn growth(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let count = samples.len() as f64;
    let hours = |sample: &Sample| sample.at.as_secs_f64() / 3600.0;
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (at, value) = (mean(&hours), mean(&figure));
    let both = mean(&|sample| (hours(sample) - at) * (figure(sample) - value));
    let spread = mean(&|sample| (hours(sample) - at).powi(2));
    if spread > 0.0 { both / spread } else { 0.0 }
}
