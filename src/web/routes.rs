//! Routes: each knows its index, and the methods that it takes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use actix_web::guard::fn_guard;
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Resource, web};

use super::params::Params;
use super::refused::Refused;
use crate::error::Denied;
use crate::values::phone::Kind;

/// What is known of a request so far: its route, and what its handler notes. Clones share it, so that it is known
/// even if the request is cut off.
#[derive(Clone, Debug, Default)]
pub struct Progress(Rc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    route: Cell<Option<usize>>,
    buys: Cell<Option<Kind>>,
    /// The form and the query of a request that came to a handler.
    input: RefCell<Option<[Params; 2]>>,
}

impl Progress {
    /// Adds it to a request.
    pub fn begin(request: &impl HttpMessage) -> Self {
        let progress = Self::default();
        request.extensions_mut().insert(progress.clone());
        progress
    }

    /// The index of the route; `None` until the request is routed.
    pub fn route(&self) -> Option<usize> {
        self.0.route.get()
    }

    /// The kind of number that the handler buys, if it noted that.
    pub fn buys(&self) -> Option<Kind> {
        self.0.buys.get()
    }

    /// The names of parameters that the handler has not asked for.
    pub fn unread(&self) -> Vec<String> {
        self.0.input.borrow().iter().flatten().flat_map(Params::unread).map(str::to_owned).collect()
    }

    /// Notes what a handler is given. Clones share what it reads.
    pub fn set_input(&self, input: [Params; 2]) {
        *self.0.input.borrow_mut() = Some(input);
    }

    /// Notes that the request is a purchase.
    pub fn set_buys(&self, kind: Kind) {
        self.0.buys.set(Some(kind));
    }
}

/// The route table of a version: `ROUTES` and `tree`. HEAD comes with GET, OPTIONS with everything. What is not in the
/// table goes to `nothing`.
macro_rules! routes {
    ($tree:ident, $nothing:path; $($path:literal { $($method:ident $handler:path),+ })+) => {
        /// Every resource below [`TREE`] with its methods.
        pub const ROUTES: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),+];

        /// All of them. Their indices are those of [`ROUTES`], from `first` on.
        pub fn tree(first: usize) -> actix_web::Scope {
            let (scope, mut index) = (actix_web::web::scope($tree), first..);
            scope$(.service(
                $crate::web::routes::resource(
                    index.next().unwrap_or_default(), $path, &[$(stringify!($method)),+]
                )
                $(.route(actix_web::web::method(actix_web::http::Method::$method).to($handler)))+
            ))+
            .default_service(actix_web::web::to($nothing))
        }
    };
}

pub(crate) use routes;

/// A resource. The answer to OPTIONS and the refusal of any other method list its methods in `Allow`. The index is
/// noted as soon as a request is routed, so that it is known even if the request times out.
///
/// # Panics
/// For a method whose name is not ASCII.
pub fn resource(index: usize, path: &str, methods: &[&str]) -> Resource {
    let head = if methods.contains(&"GET") { ", HEAD" } else { "" };
    let allow =
        HeaderValue::try_from(format!("{}{head}, OPTIONS", methods.join(", "))).expect("method names are ASCII");
    let note = fn_guard(move |context| {
        if let Some(Progress(noted)) = context.req_data().get() {
            noted.route.set(Some(index));
        }
        true
    });
    web::resource(path).guard(note).default_service(web::to(move |request: HttpRequest| {
        let allow = allow.clone();
        async move {
            match *request.method() {
                Method::OPTIONS => Ok(HttpResponse::NoContent().insert_header((ALLOW, allow)).finish()),
                _ => Err(Denied::from(Refused::Method(allow))),
            }
        }
    }))
}
