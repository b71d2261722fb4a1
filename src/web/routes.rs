//! Routes: each knows its index, and the methods that it takes.

use std::cell::Cell;
use std::rc::Rc;

use actix_web::guard::fn_guard;
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Resource, web};

use super::refused::Refused;
use crate::error::Denied;

/// The index of the route of a request. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Led(Rc<Cell<Option<usize>>>);

impl Led {
    /// `None` until the request is routed.
    pub fn index(&self) -> Option<usize> {
        self.0.get()
    }
}

/// A resource. It lists its methods in `Allow`, in the answer to OPTIONS and in the refusal of any other method. A request
/// that comes to it knows the index from then on, also one whose time runs out.
///
/// # Panics
/// For a method whose name is not ASCII.
pub fn resource(index: usize, path: &str, methods: &[&str]) -> Resource {
    let head = if methods.contains(&"GET") { ", HEAD" } else { "" };
    let allow =
        HeaderValue::try_from(format!("{}{head}, OPTIONS", methods.join(", "))).expect("method names are ASCII");
    let note = fn_guard(move |context| {
        if let Some(Led(led)) = context.req_data().get() {
            led.set(Some(index));
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

/// Gives a request what [`resource`] notes its index in.
pub fn led(request: &impl HttpMessage) -> Led {
    let led = Led::default();
    request.extensions_mut().insert(led.clone());
    led
}
