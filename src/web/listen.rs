//! How a listener is served. actix-web's own server tells of a connection only after its TLS handshake, so that half of
//! a handshake would take a place that nobody counts: here the same parts are put together by hand.

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_tls::accept::rustls_0_23::Acceptor;
use actix_tls::accept::{TlsError, max_concurrent_tls_connect};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response, Server};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connections::{Most, Paced, Places, Stream};

/// How much of an answer is written at a time.
const WRITTEN_AT_A_TIME: usize = 64 * 1024;

/// How long a connection has to end in order.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is in flight at a stop has this many seconds to finish.
const SHUTDOWN_SECONDS: u64 = 30;

/// How connections are dealt with.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    pub workers: usize,
    pub most: Most,
    pub header_timeout: Duration,
    pub keep_alive: Duration,
}

impl Ways {
    fn places(self) -> Rc<Places> {
        Rc::new(Places::new(self.most, self.keep_alive + self.header_timeout))
    }
}

/// Serves on a listener; `app` is called once for each thread.
///
/// # Errors
/// When the listener cannot be used.
pub fn listen<F, I, S, B>(listener: TcpListener, tls: Option<ServerConfig>, ways: Ways, app: F) -> io::Result<Server>
where
    F: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = actix_web::Error, InitError = ()> + 'static,
    S::Response: Into<Response<B>>,
    S::Future: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let local = listener.local_addr()?;
    let builder = Server::build()
        .workers(ways.workers)
        .max_concurrent_connections(ways.most.at_times())
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals();
    let stops = builder.graceful_shutdown_signal();
    let stops = move || {
        let stops = stops.clone();
        async move { stops.notified().await }
    };
    let builder =
        match tls {
            None => builder.listen("http", listener, move || {
                let places = ways.places();
                fn_service(move |tcp| ready(places.enter(tcp).map_err(DispatchError::Io)))
                    .map(with_peer)
                    .and_then(http(ways, (local, false), stops.clone(), app()))
            })?,
            Some(mut tls) => {
                tls.alpn_protocols = vec![b"http/1.1".to_vec()];
                // Handshakes have their bound in the places.
                max_concurrent_tls_connect(usize::MAX);
                builder.listen("https", listener, move || {
                    let places = ways.places();
                    let accept = Acceptor::new(tls.clone()).map_init_err(|()| ()).map_err(TlsError::into_service_error);
                    fn_service(move |tcp| ready(places.enter(tcp).map_err(|error| TlsError::Service(error.into()))))
                        .and_then(accept)
                        .map(with_peer)
                        .and_then(http(ways, (local, true), stops.clone(), app()).map_err(TlsError::Service))
                })?
            }
        };
    Ok(builder.run())
}

fn with_peer<T: Stream>(stream: T) -> (Paced<T>, Protocol, Option<SocketAddr>) {
    let peer = stream.client().peer();
    (Paced::new(stream), Protocol::Http1, peer)
}

/// What becomes of a stream: requests and their answers.
fn http<T, F, I, S, B>(
    ways: Ways,
    (local, secure): (SocketAddr, bool),
    stops: impl Fn() -> F + 'static,
    app: I,
) -> impl ServiceFactory<
    (Paced<T>, Protocol, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
>
where
    T: Stream + AsyncRead + AsyncWrite + Unpin + 'static,
    F: Future<Output = ()> + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = actix_web::Error, InitError = ()> + 'static,
    S::Response: Into<Response<B>>,
    S::Future: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let app = app.into_factory().map_err(|error| error.error_response());
    // The constructor is for whoever puts a server together, as actix-test does, and promised to nobody: the lock file
    // holds the version.
    let config = move |()| AppConfig::__priv_test_new(secure, local.to_string(), local);
    HttpService::build()
        .graceful_shutdown_signal(stops)
        .keep_alive(ways.keep_alive)
        .client_request_timeout(ways.header_timeout)
        .client_disconnect_timeout(LAST_WORDS)
        .h1_write_buffer_size(WRITTEN_AT_A_TIME)
        .local_addr(local)
        .on_connect_ext(|stream: &Paced<T>, data| {
            data.insert(stream.connected());
        })
        .finish(map_config(app, config))
}
