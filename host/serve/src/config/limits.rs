//! From limits as they are written to limits as they are meant.

use std::time::Duration;

use innkeeper_proxy::core;

use super::file;

impl file::Limits {
    /// Puts what is written in the place of what is there.
    pub(crate) fn put_into(&self, limits: &mut core::Limits) {
        let Self { read, write, init, whole, fuel_per_s, fuel_burst, memory_bytes, table_elements, .. } = self;
        read.put_into(&mut limits.read);
        write.put_into(&mut limits.write);
        init.put_into(&mut limits.init);
        whole.put_into(&mut limits.whole);
        put(*fuel_per_s, &mut limits.fuel_per_s);
        put(*fuel_burst, &mut limits.fuel_burst);
        put(*memory_bytes, &mut limits.memory_bytes);
        put(*table_elements, &mut limits.table_elements);
        let Self { time_ms_per_s, time_ms_burst, compile_memory_bytes, .. } = self;
        put(time_ms_per_s.map(Duration::from_millis), &mut limits.time_per_s);
        put(time_ms_burst.map(Duration::from_millis), &mut limits.time_burst);
        put(*compile_memory_bytes, &mut limits.compile_memory_bytes);
        let Self { component_bytes, compile_ms, host_call_bytes, log_line_bytes, log_lines_per_s, .. } = self;
        put(*component_bytes, &mut limits.component_bytes);
        put(compile_ms.map(Duration::from_millis), &mut limits.compile);
        put(*host_call_bytes, &mut limits.host_call_bytes);
        put(*log_line_bytes, &mut limits.log_line_bytes);
        put(*log_lines_per_s, &mut limits.log_lines_per_s);
        let Self { sessions, session_bytes, vault_bytes, mailbox, .. } = self;
        put(*sessions, &mut limits.sessions);
        put(*session_bytes, &mut limits.session_bytes);
        put(*vault_bytes, &mut limits.vault_bytes);
        put(*mailbox, &mut limits.mailbox);
    }
}

impl file::Grant {
    fn put_into(self, grant: &mut core::Grant) {
        put(self.fuel, &mut grant.fuel);
        put(self.time_ms.map(Duration::from_millis), &mut grant.time);
    }
}

fn put<T>(written: Option<T>, place: &mut T) {
    if let Some(written) = written {
        *place = written;
    }
}
