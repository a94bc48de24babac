//! Outgoing `wasi:http`: HTTP/1.1 over a stream that the agent opened, or refused to open.

use crate::{BoxedStream, ConnectError, Host};
use http::{Request, Response, Uri, uri::Scheme};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use std::{future::Future, sync::Arc, time::Duration};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// Used where the guest sets no timeout of its own.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What wasmtime-wasi-http asks about outgoing requests.
pub(crate) struct Hooks {
    pub(crate) host: Arc<dyn Host>,
}

type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let host = Arc::clone(&self.host);
        Box::new(send(host, request, options))
    }
}

async fn send(
    host: Arc<dyn Host>,
    mut request: Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<Sent, Error> {
    let connect_timeout = options.and_then(|o| o.connect_timeout).unwrap_or(TIMEOUT);
    let first_byte_timeout = options
        .and_then(|o| o.first_byte_timeout)
        .unwrap_or(TIMEOUT);
    let (authority, tls) = destination(request.uri())?;
    let stream = tokio::time::timeout(connect_timeout, host.connect(authority, tls))
        .await
        .map_err(|_elapsed| Error::ConnectionTimeout)?
        .map_err(refused)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, WasiBody>(TokioIo::new(stream)).await?;
    // Only the path goes on the wire; the authority is in the host header.
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    *request.uri_mut() = path
        .parse::<Uri>()
        .map_err(|_invalid| Error::HttpRequestUriInvalid)?;

    let mut connection = Box::pin(connection);
    let mut response = std::pin::pin!(sender.send_request(request));
    let exchange = async {
        tokio::select! {
            biased;
            response = &mut response => response,
            ended = &mut connection => {
                ended?;
                response.await
            }
        }
    };
    let response = tokio::time::timeout(first_byte_timeout, exchange)
        .await
        .map_err(|_elapsed| Error::ConnectionReadTimeout)??;
    let body = response.map(|body| body.map_err(Error::from).boxed_unsync());
    // The rest of the connection is driven by the guest's own task; it ends with the instance.
    let rest: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(drive(connection));
    Ok((body, rest))
}

type Connection = hyper::client::conn::http1::Connection<TokioIo<BoxedStream>, WasiBody>;

async fn drive(connection: std::pin::Pin<Box<Connection>>) -> Result<(), Error> {
    connection.await.map_err(Error::from)
}

/// `host:port` and whether it is TLS.
fn destination(uri: &Uri) -> Result<(String, bool), Error> {
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    let tls = uri.scheme() == Some(&Scheme::HTTPS);
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    Ok((format!("{}:{port}", authority.host()), tls))
}

fn refused(error: ConnectError) -> Error {
    match error {
        ConnectError::Denied => Error::HttpRequestDenied,
        ConnectError::NameNotFound => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        ConnectError::Refused => Error::ConnectionRefused,
        ConnectError::TimedOut => Error::ConnectionTimeout,
        ConnectError::Other(message) => Error::InternalError(Some(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destination_has_a_port() {
        let of = |uri: &str| destination(&uri.parse().unwrap()).unwrap();
        assert_eq!(of("http://db/x"), ("db:80".to_owned(), false));
        assert_eq!(of("https://db.ns.svc"), ("db.ns.svc:443".to_owned(), true));
        assert_eq!(of("http://[::1]:8080/"), ("[::1]:8080".to_owned(), false));
    }
}
