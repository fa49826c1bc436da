namespace ValueFlow.Core.Values

open System
open System.Threading
open System.Threading.Tasks

/// Work that nobody can interrupt in the middle: a factorisation, a search through a graph.
[<RequireQualifiedAccess>]
module internal Interruptible =

    /// Throws an OperationCanceledException once it was cancelled. For tight loops: it looks at every 4096th call, the first included.
    let watch (cancellation: CancellationToken) : unit -> unit =
        let calls = ref 0

        fun () ->
            if calls.Value &&& 4095 = 0 then
                cancellation.ThrowIfCancellationRequested()

            calls.Value <- calls.Value + 1

    /// What the work returns; on this thread if it cannot be cancelled, else on another one. Once cancelled, the work has the grace, in milliseconds, to end
    /// by itself; then it is left alone, and there is no result. Nor is there one where it throws that it was cancelled.
    let run (grace: int) (cancellation: CancellationToken) (work: unit -> 'result) : 'result voption =
        if not cancellation.CanBeCanceled then
            ValueSome(work ())
        else
            let task = Task.Run(Func<'result> work, cancellation)

            let ended =
                try
                    Task.WaitAny([| task :> Task |], cancellation) = 0
                with :? OperationCanceledException ->
                    (task :> IAsyncResult).AsyncWaitHandle.WaitOne grace

            try
                if ended then ValueSome(task.GetAwaiter().GetResult()) else ValueNone
            with :? OperationCanceledException when cancellation.IsCancellationRequested ->
                ValueNone
