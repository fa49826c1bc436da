namespace ValueFlow.TabularRuns

#nowarn "9" // arrays are pinned while the kernel copies them

open System
open System.Runtime.InteropServices
open ValueFlow.Core.Values

/// The reference kernel in C++, on a copy of a model with as many actions in each state and successors in each row.
[<Sealed>]
type Yardstick(library: string, model: Model, discount: float) =
    let handle = NativeLibrary.Load library
    let entry name = NativeLibrary.GetExport(handle, name)
    let actions = model.RowCount / model.StateCount
    let branching = model.TransitionCount / model.RowCount

    let rewards = Array.init model.RowCount (fun row -> model.Rewards[model.Offsets[row]])

    let instance =
        let create = Marshal.GetDelegateForFunctionPointer<Create>(entry "yardstick_create")
        use next = fixed &MemoryMarshal.GetReference model.Successors
        use p = fixed &MemoryMarshal.GetReference model.Probabilities
        use r = fixed rewards
        let branching = if branching = model.StateCount then 0 else branching
        create.Invoke(int64 model.StateCount, int64 actions, int64 branching, next, p, r, discount)

    let sweep = Marshal.GetDelegateForFunctionPointer<Sweeping>(entry "yardstick_sweep")
    let certify = Marshal.GetDelegateForFunctionPointer<Certify>(entry "yardstick_certify")

    /// One sweep.
    member _.Sweep(threads: int) : unit = sweep.Invoke(instance, threads)
    /// Value iteration until the span certifies half of the tolerance: how many sweeps it took.
    member _.Certify(threads: int, tolerance: float) : int = certify.Invoke(instance, threads, tolerance)

    /// The values that it holds.
    member _.Values: float[] =
        let values = Array.zeroCreate<float> model.StateCount
        use to' = fixed values
        Marshal.GetDelegateForFunctionPointer<Read>(entry "yardstick_values").Invoke(instance, to')
        values

    interface IDisposable with
        member _.Dispose() = Marshal.GetDelegateForFunctionPointer<Free>(entry "yardstick_free").Invoke instance

/// As in yardstick.cpp.
and Create = delegate of int64 * int64 * int64 * nativeptr<int> * nativeptr<float> * nativeptr<float> * float -> nativeint

/// As in yardstick.cpp.
and Sweeping = delegate of nativeint * int -> unit
/// As in yardstick.cpp.
and Certify = delegate of nativeint * int * float -> int
/// As in yardstick.cpp.
and Read = delegate of nativeint * nativeptr<float> -> unit
/// As in yardstick.cpp.
and Free = delegate of nativeint -> unit
