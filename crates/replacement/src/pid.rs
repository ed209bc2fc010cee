//! A controller with a proportional, an integral and a derivative part, for a daemon that is woken
//! more than once an interval.
//!
//! Source: FreeBSD, `sys/kern/subr_pidctrl.c` (`pidctrl_daemon`) and `sys/sys/pidctrl.h`, whose gains
//! are used: 1/3, 1/4 and 1/8, the integral within 0 to 16 times the setpoint.
//!
//! ```text
//!   error    = setpoint − input                  at the first call of an interval
//!            = max(0, error before + setpoint − input)      at the others
//!   integral = clamp(integral + error)       derivative = error − error of the interval before
//!   output   = error / 3 + integral / 4 + derivative / 8,  less what was output in the interval
//! ```
//!
//! Quotients are cut off towards zero.

const KP: i64 = 3; // PIDCTRL_KPD
const KI: i64 = 4; // PIDCTRL_KID
const KD: i64 = 8; // PIDCTRL_KDD
const BOUND: i64 = 4; // PIDCTRL_BOUND

#[derive(Clone, Debug)]
pub(crate) struct Pid {
    setpoint: i64,
    interval: u64,
    /// When the interval began.
    since: u64,
    error: i64,
    old_error: i64,
    integral: i64,
    output: i64,
}

impl Pid {
    /// A controller that is to hold its input at `setpoint`; time is in the unit of `interval`.
    pub(crate) fn new(setpoint: u64, interval: u64) -> Self {
        let setpoint = setpoint as i64;
        Self { setpoint, interval, since: 0, error: 0, old_error: 0, integral: 0, output: 0 }
    }

    /// How much is to be done now, with the input as it is.
    pub(crate) fn output(&mut self, now: u64, input: u64) -> u64 {
        let mut error = self.setpoint - input as i64;
        if now - self.since >= self.interval {
            self.since = now;
            self.old_error = self.error;
            self.output = 0;
        } else {
            error = (error + self.error).max(0);
        }
        self.error = error;
        self.integral = (self.integral + error).clamp(0, BOUND * self.setpoint * KI);
        let derivative = error - self.old_error;
        let wanted = error / KP + self.integral / KI + derivative / KD;
        let more = (wanted - self.output).max(0);
        self.output += more;
        more as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Pid;

    #[test]
    fn it_rises_with_a_lasting_error_and_ends_with_it() {
        let mut pid = Pid::new(24, 10);
        // 24 / 3 + 24 / 4 + 24 / 8; then the error lasts: 8 + 48 / 4 + 0.
        assert_eq!(pid.output(10, 0), 17);
        assert_eq!(pid.output(20, 0), 20);
        // Beyond the setpoint: −3 / 3 + 45 / 4 − 27 / 8, cut off: −1 + 11 − 3.
        assert_eq!(pid.output(30, 27), 7);
    }

    #[test]
    fn within_an_interval_it_tells_what_is_new() {
        let mut pid = Pid::new(24, 10);
        assert_eq!(pid.output(10, 0), 17);
        // As if the whole error, 24 + 12, had come at once: 12 + 60 / 4 + 36 / 8 = 31, less 17.
        assert_eq!(pid.output(11, 12), 14);
    }

    #[test]
    fn the_integral_is_bounded() {
        let mut pid = Pid::new(3, 1);
        let outputs: alloc::vec::Vec<u64> = (1..100).map(|now| pid.output(now, 0)).collect();
        assert_eq!(outputs[98], 1 + 12);
    }
}
