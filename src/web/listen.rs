//! Serves a listener. actix-web's own server reports a connection only after its TLS handshake, so unfinished
//! handshakes would not count against the limits. So the same parts are put together here.

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

use super::connections::{MaxConnections, Paced, Slots, Stream};

/// The most of an answer that is written at a time, in bytes.
const WRITE_BUFFER: usize = 64 * 1024;

/// How long a connection may take to close in order.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The seconds that requests under way have at a stop.
const SHUTDOWN_SECONDS: u64 = 30;

/// Threads, limits and timeouts of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    pub workers: usize,
    pub max: MaxConnections,
    pub header_timeout: Duration,
    pub keep_alive: Duration,
}

impl ListenOptions {
    fn slots(self) -> Rc<Slots> {
        Rc::new(Slots::new(self.max, self.keep_alive + self.header_timeout))
    }
}

/// Serves on a listener. `app` is called once for each thread.
///
/// # Errors
/// If the listener cannot be used.
pub fn listen<F, I, S, B>(
    listener: TcpListener,
    tls: Option<ServerConfig>,
    options: ListenOptions,
    app: F,
) -> io::Result<Server>
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
        .workers(options.workers)
        .max_concurrent_connections(options.max.with_extra())
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals();
    let stop = builder.graceful_shutdown_signal();
    let stop = move || {
        let stop = stop.clone();
        async move { stop.notified().await }
    };
    let builder =
        match tls {
            None => builder.listen("http", listener, move || {
                let slots = options.slots();
                fn_service(move |tcp| ready(slots.accept(tcp).map_err(DispatchError::Io)))
                    .map(with_peer)
                    .and_then(http(options, (local, false), stop.clone(), app()))
            })?,
            Some(mut tls) => {
                tls.alpn_protocols = vec![b"http/1.1".to_vec()];
                // No limit here, because the slots limit handshakes too.
                max_concurrent_tls_connect(usize::MAX);
                builder.listen("https", listener, move || {
                    let slots = options.slots();
                    let accept = Acceptor::new(tls.clone()).map_init_err(|()| ()).map_err(TlsError::into_service_error);
                    fn_service(move |tcp| ready(slots.accept(tcp).map_err(|error| TlsError::Service(error.into()))))
                        .and_then(accept)
                        .map(with_peer)
                        .and_then(http(options, (local, true), stop.clone(), app()).map_err(TlsError::Service))
                })?
            }
        };
    Ok(builder.run())
}

fn with_peer<T: Stream>(stream: T) -> (Paced<T>, Protocol, Option<SocketAddr>) {
    let peer = stream.client().peer();
    (Paced::new(stream), Protocol::Http1, peer)
}

/// Turns a stream into requests and their answers.
fn http<T, F, I, S, B>(
    options: ListenOptions,
    (local, secure): (SocketAddr, bool),
    stop: impl Fn() -> F + 'static,
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
    // This constructor is meant for test servers, and not stable: Cargo.lock holds the version.
    let config = move |()| AppConfig::__priv_test_new(secure, local.to_string(), local);
    HttpService::build()
        .graceful_shutdown_signal(stop)
        .keep_alive(options.keep_alive)
        .client_request_timeout(options.header_timeout)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .h1_write_buffer_size(WRITE_BUFFER)
        .local_addr(local)
        .on_connect_ext(|stream: &Paced<T>, data| {
            data.insert(stream.slot());
        })
        .finish(map_config(app, config))
}
