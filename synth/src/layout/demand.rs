//! Where many wires are wanted, so that others go around.

/// A bin has so many columns and rows of tiles.
pub(super) const BIN: usize = 4;

/// The smallest rectangle around a net's cells, in tiles.
#[derive(Clone, Copy)]
pub(super) struct Span {
    left: f64,
    right: f64,
    low: f64,
    high: f64,
}

impl Span {
    pub(super) fn around(positions: impl Iterator<Item = (f64, f64)>) -> Self {
        let nowhere = Span {
            left: f64::INFINITY,
            right: f64::NEG_INFINITY,
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        };
        positions.fold(nowhere, |span, (x, y)| Span {
            left: span.left.min(x),
            right: span.right.max(x),
            low: span.low.min(y),
            high: span.high.max(y),
        })
    }

    /// Half the way around.
    pub(super) fn way(&self) -> f64 {
        self.right - self.left + self.high - self.low
    }
}

/// The bins of a chip, and how much more than the mean each is wanted for.
pub(super) struct Demand {
    across: usize,
    down: usize,
    /// Of all bins above and to the left of a corner: how many times the mean they are wanted beyond it. With them the mean over a rectangle takes four reads.
    beyond: Vec<f64>,
}

impl Demand {
    /// All bins alike.
    pub(super) fn even(across: usize, down: usize) -> Self {
        Demand { across, down, beyond: vec![0.0; (across + 1) * (down + 1)] }
    }

    /// What nets want: each its wires times its way, spread over its span.
    pub(super) fn of(across: usize, down: usize, nets: impl Iterator<Item = (Span, f64)>) -> Self {
        let mut demand = Demand::even(across, down);
        let mut wanted = vec![0.0; across * down];
        for (span, wires) in nets {
            let (columns, rows) = (demand.columns(&span), demand.rows(&span));
            let each = wires * span.way() / (columns.len() * rows.len()) as f64;
            for row in rows {
                wanted[row * across..][columns.clone()].iter_mut().for_each(|bin| *bin += each);
            }
        }
        let mean = wanted.iter().sum::<f64>() / wanted.len() as f64;
        if mean == 0.0 {
            return demand;
        }
        let stride = across + 1;
        for row in 0..down {
            let mut sum = 0.0;
            for column in 0..across {
                sum += (wanted[row * across + column] / mean - 1.0).max(0.0);
                demand.beyond[(row + 1) * stride + column + 1] =
                    demand.beyond[row * stride + column + 1] + sum;
            }
        }
        demand
    }

    /// How many times the mean the bins under a span are wanted beyond it, on average.
    pub(super) fn beyond(&self, span: &Span) -> f64 {
        let (columns, rows) = (self.columns(span), self.rows(span));
        let corner = |column: usize, row: usize| self.beyond[row * (self.across + 1) + column];
        let sum =
            corner(columns.end, rows.end) - corner(columns.start, rows.end) - corner(columns.end, rows.start)
                + corner(columns.start, rows.start);
        sum / (columns.len() * rows.len()) as f64
    }

    fn columns(&self, span: &Span) -> std::ops::Range<usize> {
        bins(span.left, span.right, self.across)
    }

    fn rows(&self, span: &Span) -> std::ops::Range<usize> {
        bins(span.low, span.high, self.down)
    }
}

/// The bins from one tile to another, both among them.
fn bins(from: f64, to: f64, count: usize) -> std::ops::Range<usize> {
    let bin = |tile: f64| (tile as usize / BIN).min(count - 1);
    bin(from)..bin(to) + 1
}
