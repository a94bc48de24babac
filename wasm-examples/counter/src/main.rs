//! counter: counts over HTTP; the number lives in a volume and outlives each instance.
//!
//! - `GET /` answers the number.
//! - `POST /` adds 1 and answers the new number; `POST /?by=5` adds 5. A body is ignored, so that
//!   anything may post here.
//!
//! Environment: `DATA_DIR` (default `/data`), a mounted volume.
//!
//! Each request is an instance of its own, and many may run at one time on the same volume, so a
//! read and a write of a file would lose counts, and a lock would stay behind when its holder is
//! killed. Here the number is the *name* of the only file in `DATA_DIR/counter`: adding is one
//! `rename` of `12` to `13`, which succeeds for exactly one of two that try. Whoever finds the
//! name gone looks again. A kill at any moment leaves one file with the old or the new name.

use std::{fs, io, path::Path};
use wstd::{
    http::{Body, Error, Method, Request, Response, StatusCode},
    rand::get_random_bytes,
    task::sleep,
    time::Duration,
};

/// Times that an addition is tried when others are always quicker; about two seconds.
const ATTEMPTS_MAX: u32 = 400;
/// Between two attempts.
const PAUSE_MILLIS: u64 = 5;

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let result = match *request.method() {
        Method::GET | Method::HEAD => read().await.map(Some),
        Method::POST => match by(request.uri().query()) {
            Some(by) => add(by).await.map(Some),
            None => return answer(StatusCode::BAD_REQUEST, "by is not a number\n".to_owned()),
        },
        _ => Ok(None),
    };
    match result {
        Ok(Some(number)) => answer(StatusCode::OK, format!("{number}\n")),
        Ok(None) => answer(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET reads, POST adds\n".to_owned(),
        ),
        Err(error) => {
            let text = format!("cannot count in {}: {error}\n", data_dir());
            eprint!("{text}");
            answer(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}

fn answer(status: StatusCode, text: String) -> Result<Response<Body>, Error> {
    Ok(Response::builder()
        .status(status)
        .header("content-type", "text/plain; charset=utf-8")
        .body(text.into())?)
}

/// What to add, from the query; `None` when it is no number.
fn by(query: Option<&str>) -> Option<u64> {
    let pairs = query.unwrap_or_default().split('&');
    match pairs.filter_map(|pair| pair.strip_prefix("by=")).next() {
        Some(value) => value.parse().ok(),
        None => Some(1),
    }
}

fn data_dir() -> String {
    std::env::var("DATA_DIR").unwrap_or_else(|_| "/data".to_owned())
}

fn counter_dir() -> String {
    format!("{}/counter", data_dir())
}

async fn read() -> io::Result<u64> {
    for _ in 0..ATTEMPTS_MAX {
        match look()? {
            Look::Number(number) => return Ok(number),
            Look::Nothing => return Ok(0),
            Look::InBetween => {
                sleep(Duration::from_millis(PAUSE_MILLIS)).await;
            }
        }
    }
    Err(busy())
}

async fn add(by: u64) -> io::Result<u64> {
    for _ in 0..ATTEMPTS_MAX {
        match look()? {
            Look::Number(number) => {
                let sum = number.saturating_add(by);
                let (from, to) = (file(number), file(sum));
                match fs::rename(from, to) {
                    Ok(()) => return Ok(sum),
                    // Somebody else was quicker.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Look::Nothing => begin()?,
            Look::InBetween => {}
        }
        sleep(Duration::from_millis(PAUSE_MILLIS)).await;
    }
    Err(busy())
}

fn file(number: u64) -> String {
    format!("{}/{number}", counter_dir())
}

fn busy() -> io::Error {
    io::Error::other("too many others count at the same time")
}

enum Look {
    Number(u64),
    /// Nobody has counted yet.
    Nothing,
    /// The listing ran beside a rename and saw neither name.
    InBetween,
}

fn look() -> io::Result<Look> {
    let entries = match fs::read_dir(counter_dir()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::Nothing),
        Err(error) => return Err(error),
    };
    let mut newest = None;
    for entry in entries {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        // A listing beside a rename may show both names; the larger one is newer.
        newest = newest.max(number);
    }
    Ok(newest.map_or(Look::InBetween, Look::Number))
}

/// Makes the directory with its first file in one step: a rename onto a directory that is not
/// empty fails, so of two that begin one wins and the other finds its number.
fn begin() -> io::Result<()> {
    if !Path::new(&data_dir()).is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no volume is mounted there",
        ));
    }
    let mut random = [0; 8];
    get_random_bytes(&mut random);
    let unique: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let draft = format!("{}/.counter-{unique}", data_dir());
    fs::create_dir(&draft)?;
    let begun =
        fs::write(format!("{draft}/0"), b"").and_then(|()| fs::rename(&draft, counter_dir()));
    match begun {
        Ok(()) => Ok(()),
        Err(error) => {
            // Clearing up is best effort; what is left is one empty file.
            let _ = fs::remove_dir_all(&draft);
            match look()? {
                Look::Nothing => Err(error),
                Look::Number(_) | Look::InBetween => Ok(()),
            }
        }
    }
}
