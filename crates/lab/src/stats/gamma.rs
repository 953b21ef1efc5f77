//! The derivatives of the logarithm of the gamma function.

/// Where the series at infinity is as good as a double.
const LARGE: f64 = 12.0;

/// The first derivative, of a positive number.
pub fn digamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < LARGE {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    sum + x.ln()
        - 0.5 / x
        - square * (1.0 / 12.0 - square * (1.0 / 120.0 - square * (1.0 / 252.0 - square / 240.0)))
}

/// The second derivative, of a positive number.
pub fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < LARGE {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    sum + 1.0 / x
        + 0.5 * square
        + square / x * (1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0 - square / 30.0)))
}

/// The number whose [`trigamma`] is this, which is positive.
pub fn inverse_trigamma(value: f64) -> f64 {
    let (mut low, mut high) = (1e-6, 1e6);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if trigamma(middle) > value { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        const EULER: f64 = 0.577_215_664_901_532_9;
        let pi = std::f64::consts::PI;
        for (found, known) in [
            (digamma(1.0), -EULER),
            (digamma(0.5), -EULER - 2.0 * 2.0_f64.ln()),
            (digamma(10.0), 2.251_752_589_066_721),
            (trigamma(1.0), pi * pi / 6.0),
            (trigamma(0.5), pi * pi / 2.0),
            (inverse_trigamma(pi * pi / 6.0), 1.0),
        ] {
            assert!((found - known).abs() < 1e-9, "{found} {known}");
        }
    }
}
