//! The interfaces of closed WASI, as an instance is linked to them.

use innkeeper_core::{Host, Level};
use wasmtime::{
    Result, bail,
    component::{HasData, Linker, Resource, ResourceTable},
};
use wasmtime_wasi::{
    WasiCtxView, WasiView,
    cli::{WasiCli, WasiCliView},
    clocks::{WasiClocks, WasiClocksView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    p2::{
        DynPollable, StreamError, StreamResult,
        bindings::{
            cli, clocks, filesystem, random,
            sync::{
                filesystem::types,
                io::{
                    error, poll,
                    streams::{self, InputStream, OutputStream},
                },
            },
        },
    },
    random::WasiRandom,
};

use crate::{
    imports::CALL_FUEL,
    instance::{State, spend},
};

/// The most bytes of one write to standard output.
const WRITE_BYTES: u64 = 4 << 10;

pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    clocks::wall_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)?;
    random::random::add_to_linker::<State, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<State, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    cli::exit::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::environment::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    types::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    error::add_to_linker::<State, Handles>(linker, |state| state.ctx().table)?;
    poll::add_to_linker::<State, Streams>(linker, State::streams)?;
    streams::add_to_linker::<State, Streams>(linker, State::streams)
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // These calls are charged. If no fuel is left, the next call to a stream or the deadline ends the guest.
        self.host_fuel = self.host_fuel.saturating_sub(CALL_FUEL);
        let wasi = self.wasi.as_mut().expect("guests without WASI are linked without it");
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.handles }
    }
}

impl State {
    fn streams(&mut self) -> ClosedStreams<'_> {
        let wasi = self.wasi.as_mut().expect("guests without WASI are linked without it");
        ClosedStreams { host: &*self.host, handles: &mut wasi.handles, host_fuel: &mut self.host_fuel }
    }
}

/// The table of error handles.
struct Handles;

impl HasData for Handles {
    type Data<'a> = &'a mut ResourceTable;
}

/// The table of stream handles.
struct Streams;

impl HasData for Streams {
    type Data<'a> = ClosedStreams<'a>;
}

/// Streams that never wait: input has ended, output is the log.
struct ClosedStreams<'a> {
    host: &'a dyn Host,
    handles: &'a mut ResourceTable,
    host_fuel: &'a mut u64,
}

impl ClosedStreams<'_> {
    fn log(&mut self, bytes: &[u8]) -> StreamResult<()> {
        spend(self.host_fuel, CALL_FUEL + bytes.len() as u64).map_err(StreamError::Trap)?;
        for line in String::from_utf8_lossy(bytes).lines() {
            spend(self.host_fuel, CALL_FUEL).map_err(StreamError::Trap)?;
            self.host.log(Level::Info, line);
        }
        Ok(())
    }
}

fn no_waiting<T>() -> Result<T> {
    bail!("a guest may not wait")
}

impl poll::Host for ClosedStreams<'_> {
    fn poll(&mut self, _: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        no_waiting()
    }
}

impl poll::HostPollable for ClosedStreams<'_> {
    fn ready(&mut self, _: Resource<DynPollable>) -> Result<bool> {
        no_waiting()
    }

    fn block(&mut self, _: Resource<DynPollable>) -> Result<()> {
        no_waiting()
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        self.handles.delete(pollable)?;
        Ok(())
    }
}

impl streams::Host for ClosedStreams<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> Result<streams::StreamError> {
        match error {
            StreamError::Closed => Ok(streams::StreamError::Closed),
            StreamError::LastOperationFailed(error) | StreamError::Trap(error) => Err(error),
        }
    }
}

impl streams::HostInputStream for ClosedStreams<'_> {
    fn read(&mut self, _: Resource<InputStream>, _: u64) -> StreamResult<Vec<u8>> {
        Err(StreamError::Closed)
    }

    fn blocking_read(&mut self, _: Resource<InputStream>, _: u64) -> StreamResult<Vec<u8>> {
        Err(StreamError::Closed)
    }

    fn skip(&mut self, _: Resource<InputStream>, _: u64) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn blocking_skip(&mut self, _: Resource<InputStream>, _: u64) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn subscribe(&mut self, _: Resource<InputStream>) -> Result<Resource<DynPollable>> {
        no_waiting()
    }

    fn drop(&mut self, stream: Resource<InputStream>) -> Result<()> {
        self.handles.delete(stream)?;
        Ok(())
    }
}

impl streams::HostOutputStream for ClosedStreams<'_> {
    fn check_write(&mut self, _: Resource<OutputStream>) -> StreamResult<u64> {
        Ok(WRITE_BYTES)
    }

    fn write(&mut self, _: Resource<OutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.log(&bytes)
    }

    fn blocking_write_and_flush(&mut self, _: Resource<OutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.log(&bytes)
    }

    fn write_zeroes(&mut self, _: Resource<OutputStream>, _: u64) -> StreamResult<()> {
        Ok(())
    }

    fn blocking_write_zeroes_and_flush(&mut self, _: Resource<OutputStream>, _: u64) -> StreamResult<()> {
        Ok(())
    }

    fn flush(&mut self, _: Resource<OutputStream>) -> StreamResult<()> {
        Ok(())
    }

    fn blocking_flush(&mut self, _: Resource<OutputStream>) -> StreamResult<()> {
        Ok(())
    }

    fn subscribe(&mut self, _: Resource<OutputStream>) -> Result<Resource<DynPollable>> {
        no_waiting()
    }

    fn splice(&mut self, _: Resource<OutputStream>, _: Resource<InputStream>, _: u64) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn blocking_splice(&mut self, _: Resource<OutputStream>, _: Resource<InputStream>, _: u64) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn drop(&mut self, stream: Resource<OutputStream>) -> Result<()> {
        self.handles.delete(stream)?;
        Ok(())
    }
}
