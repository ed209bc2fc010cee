//! Which free block a request gets.
//!
//! ```text
//!   request ▒▒▒          free  ▯▯▯▯▯   ▯▯▯   ▯▯▯▯▯▯▯▯   ▯▯▯▯
//!                              first   best    worst      next: the first one behind the last
//! ```

/// A fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fit {
    /// The lowest block that is large enough.
    #[default]
    First,
    /// The smallest that is large enough; the lowest of equals.
    Best,
    /// The largest; the lowest of equals.
    Worst,
    /// The first that is large enough from where the last search ended, going round.
    Next,
}

impl Fit {
    /// The names of all.
    pub const NAMES: &'static [&'static str] = &["first", "best", "worst", "next"];

    /// The fit called `name`, one of [`Fit::NAMES`].
    pub fn by_name(name: &str) -> Option<Self> {
        let all = [Self::First, Self::Best, Self::Worst, Self::Next];
        all.into_iter().find(|fit| fit.name() == name)
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Best => "best",
            Self::Worst => "worst",
            Self::Next => "next",
        }
    }
}
