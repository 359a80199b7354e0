//! Where the connections of one thread find what decides about their next request.

use std::cell::RefCell;
use std::rc::Rc;

use crate::proxy::route::Proxy;

/// What a thread's connections ask at the beginning of each request, and what a reload swaps. Clones share it.
///
/// Each thread has its own, which is set between two requests of that thread: looking it up takes neither a lock nor an
/// atomic operation.
#[derive(Clone, Debug)]
pub struct CurrentProxy(Rc<RefCell<Rc<Proxy>>>);

impl CurrentProxy {
    /// Leads to `proxy`.
    pub fn new(proxy: Proxy) -> Self {
        Self(Rc::new(RefCell::new(Rc::new(proxy))))
    }

    /// Leads to `proxy` from the next request on.
    pub fn set(&self, proxy: Proxy) {
        self.0.replace(Rc::new(proxy));
    }

    /// For one request, which uses this one to its end.
    pub fn load(&self) -> Rc<Proxy> {
        Rc::clone(&self.0.borrow())
    }
}
