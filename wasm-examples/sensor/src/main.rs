//! sensor: reads a sensor, averages, and posts the result to another service, for ever.
//!
//! The loop of most devices at the edge. The sensor is simulated: a slow wave with noise, the
//! same for the same `SEED`, so that a test knows what is posted. A target that is away costs
//! that one reading its delivery, never the loop.
//!
//! Each `PERIOD_SECONDS` it takes `SAMPLES` readings, posts
//! `{"sequence":3,"samples":10,"mean":21.52,"min":21.11,"max":21.98}` to `TARGET_URL` and logs one
//! line.
//!
//! Environment: `TARGET_URL` (required), `PERIOD_SECONDS` (default 5, at least 1), `SAMPLES`
//! (default 10, at most 1000), `SEED` (default 1), `COUNT` (posts until it ends by itself; default
//! 0, never).

use std::{fmt::Display, process::ExitCode, str::FromStr};
use wstd::{
    http::{Body, Client, Request, StatusCode},
    task::sleep,
    time::Duration,
};

/// How long the target may take to answer; a dead one must not stop the loop for long.
const TIMEOUT_SECONDS: u64 = 5;
const SAMPLES_MAX: u32 = 1000;

struct Settings {
    target: String,
    period_seconds: u64,
    samples: u32,
    seed: u64,
    count: u64,
}

#[wstd::main]
async fn main() -> ExitCode {
    let settings = match settings() {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("sensor: {message}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "sensor: to {} each {} s",
        settings.target, settings.period_seconds
    );
    let mut sensor = Sensor::new(settings.seed);
    let mut sequence = 0_u64;
    loop {
        sequence += 1;
        let summary = Summary::of((0..settings.samples).map(|_| sensor.read()));
        let json = summary.json(sequence);
        match post(&settings.target, json.clone()).await {
            Ok(status) if status.is_success() => println!("posted {json}"),
            Ok(status) => eprintln!("{} answered {status} to {json}", settings.target),
            Err(error) => eprintln!("cannot post {json} to {}: {error:#}", settings.target),
        }
        if sequence == settings.count {
            return ExitCode::SUCCESS;
        }
        sleep(Duration::from_secs(settings.period_seconds)).await;
    }
}

fn settings() -> Result<Settings, String> {
    let target = std::env::var("TARGET_URL").map_err(|_| {
        "TARGET_URL is not set; it is where readings are posted, as http://counter/".to_owned()
    })?;
    Ok(Settings {
        target,
        period_seconds: number("PERIOD_SECONDS", 5)?.max(1),
        samples: number::<u32>("SAMPLES", 10)?.clamp(1, SAMPLES_MAX),
        seed: number("SEED", 1)?,
        count: number("COUNT", 0)?,
    })
}

fn number<T: FromStr<Err: Display>>(name: &str, default: T) -> Result<T, String> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .map_err(|error| format!("{name} is {text:?}: {error}")),
        Err(_) => Ok(default),
    }
}

async fn post(target: &str, json: String) -> Result<StatusCode, wstd::http::Error> {
    let request = Request::post(target)
        .header("content-type", "application/json")
        .body(Body::from(json))?;
    let mut client = Client::new();
    client.set_connect_timeout(Duration::from_secs(TIMEOUT_SECONDS));
    client.set_first_byte_timeout(Duration::from_secs(TIMEOUT_SECONDS));
    Ok(client.send(request).await?.status())
}

/// A temperature in degrees Celsius: a wave of 100 readings with noise on it.
struct Sensor {
    state: u64,
    reading: u32,
}

impl Sensor {
    fn new(seed: u64) -> Self {
        // The generator must not start at 0.
        Self {
            state: seed.wrapping_mul(2).wrapping_add(1),
            reading: 0,
        }
    }

    fn read(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let noise = f64::from((self.state >> 32) as u32) / f64::from(u32::MAX) - 0.5;
        let phase = f64::from(self.reading % 100) / 100.0;
        self.reading = self.reading.wrapping_add(1);
        // A triangle: no libm in a small guest.
        let wave = 1.0 - 4.0 * (phase - 0.5).abs();
        21.0 + 2.0 * wave + noise
    }
}

struct Summary {
    samples: u32,
    mean: f64,
    min: f64,
    max: f64,
}

impl Summary {
    fn of(readings: impl Iterator<Item = f64>) -> Self {
        let (mut samples, mut sum) = (0, 0.0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for reading in readings {
            samples += 1;
            sum += reading;
            min = reading.min(min);
            max = reading.max(max);
        }
        Self {
            samples,
            mean: sum / f64::from(samples),
            min,
            max,
        }
    }

    /// Only numbers, so nothing needs escaping.
    fn json(&self, sequence: u64) -> String {
        let Self {
            samples,
            mean,
            min,
            max,
        } = self;
        format!(
            "{{\"sequence\":{sequence},\"samples\":{samples},\"mean\":{mean:.2},\"min\":{min:.2},\"max\":{max:.2}}}"
        )
    }
}
