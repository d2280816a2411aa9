//! The code that [`export!`](crate::export) expands to; not for use by hand.

wit_bindgen::generate!({
    path: "wit",
    world: "session-cache",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "innkeeper_guest::bindings",
});
