namespace ValueFlow.Core.Foundations

open System
open System.IO
open System.Runtime.InteropServices
open TorchSharp

/// Who owns a tensor, and for how long. Scopes belong to one thread: never await between opening one and closing it.
[<RequireQualifiedAccess>]
module Lifetime =

    // In a program that was built without libtorch, TorchSharp would gather 490 MB from the package cache before it gives up: ask first.
    let private cause =
        lazy
            (let assembly = typeof<torch>.Assembly
             let beside = Path.GetDirectoryName assembly.Location = Path.TrimEndingDirectorySeparator AppContext.BaseDirectory
             let mutable handle = 0n

             if beside && not (NativeLibrary.TryLoad("LibTorchSharp", assembly, Nullable(), &handle)) then
                 Some "the native libraries are not beside the program"
             else
                 try
                     torch.InitializeDeviceType DeviceType.CPU
                     None
                 with error ->
                     Some((error.GetBaseException().Message.Split '\n')[0]))

    /// Loads libtorch, or throws an InvalidOperationException that says what is missing. Tabular values never need it.
    let requireTorch () : unit =
        match cause.Value with
        | None -> ()
        | Some words ->
            let advice = "reference the package libtorch-cpu-linux-x64 (or -win-x64, -osx-arm64) in the program that runs"
            raise (InvalidOperationException $"tensors need libtorch, which could not be loaded ({words}): {advice}")

    /// Runs <c>work</c> in a scope of its own, frees every tensor born in it, and hands the result to the scope around it
    /// (to the caller, if there is none). A tensor that came from outside is returned as it is.
    let keep (work: unit -> torch.Tensor) : torch.Tensor =
        use scope = torch.NewDisposeScope()
        scope.MoveToOuter(work ())

    /// Runs <c>work</c> in a scope of its own and frees every tensor born in it. The result must hold no tensor.
    let within (work: unit -> 'result) : 'result =
        use _scope = torch.NewDisposeScope()
        work ()

    /// Runs <c>work</c> without recording gradients, frees every tensor born in it, and hands on the result.
    let keepDetached (work: unit -> torch.Tensor) : torch.Tensor =
        use _noGrad = torch.no_grad ()
        keep work

    /// Tensors that are alive on this thread: the number that a leak law compares before and after.
    let live () : int64 = DisposeScopeManager.Statistics.ThreadTotalLiveCount

    /// Tensors that are alive because of <c>work</c>: live count after it, less live count before it.
    let born (work: unit -> unit) : int64 =
        let before = live ()
        work ()
        live () - before
