namespace ValueFlow.Core.Learning

open System
open System.Collections.Concurrent
open System.Runtime.InteropServices
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Foundations

/// Networks with fixed parameters as functions of tensors: by the fused kernels where no gradient is recorded and the numbers are float32 in main memory,
/// else by the tensor form, so that they can be differentiated by points and time.
[<RequireQualifiedAccess>]
module NetworkField =

    let private floats (tensor: torch.Tensor) : ReadOnlySpan<float32> =
        if tensor.numel () = 0L then
            ReadOnlySpan.Empty
        else
            Span.op_Implicit (MemoryMarshal.Cast<byte, float32> tensor.bytes)

    let private orEmpty (tensor: torch.Tensor voption) : ReadOnlySpan<float32> =
        match tensor with
        | ValueSome tensor -> floats tensor
        | ValueNone -> ReadOnlySpan.Empty

    let private present (inputs: NetworkInputs) =
        [|
            inputs.Points
            match inputs.Time with
            | ValueSome t -> t
            | ValueNone -> ()
            match inputs.Condition with
            | ValueSome condition -> condition
            | ValueNone -> ()
        |]

    let private runFused (fused: FusedNetwork) (inputs: NetworkInputs) : torch.Tensor =
        let rows = inputs.Points.shape[0]

        Lifetime.keepDetached (fun () ->
            let plain = ValueOption.map (fun (tensor: torch.Tensor) -> tensor.contiguous ())
            let x: torch.Tensor = inputs.Points.contiguous ()
            let t, condition = plain inputs.Time, plain inputs.Condition
            let shape = [| rows; int64 fused.Configuration.Output |]
            let value: torch.Tensor = torch.empty (shape, dtype = Nullable torch.float32)

            if rows > 0L then
                let into = MemoryMarshal.Cast<byte, float32> value.bytes
                fused.Forward(int rows, floats x, orEmpty t, orEmpty condition, into)

            value)

    /// The network as a function of its inputs; the value is (batch x output). Several threads may call it at once.
    let apply (network: Network) : NetworkInputs -> torch.Tensor =
        let configuration = network.Configuration
        let idle = ConcurrentBag<FusedNetwork>()

        let rent () =
            match idle.TryTake() with
            | true, fused -> fused
            | _ ->
                let fused = FusedNetwork configuration
                fused.Load(ReadOnlySpan network.Parameters)
                fused

        fun inputs ->
            let tensors = present inputs
            let recorded = torch.is_grad_enabled () && tensors |> Array.exists _.requires_grad

            let plain = tensors |> Array.forall (fun tensor -> tensor.dtype = torch.float32 && tensor.device_type = DeviceType.CPU)

            // A number in float64, shape and type errors: the tensor form words them.
            let fits =
                inputs.Points.dim () = 2L
                && inputs.Points.shape[1] = int64 configuration.Input
                && inputs.Time.IsSome = (configuration.Time <> TimeInput.Absent)
                && inputs.Condition.IsSome = (configuration.Condition > 0)
                && (match inputs.Time with
                    | ValueSome t -> t.dim () = 0L || (t.dim () = 1L && t.shape[0] = inputs.Points.shape[0])
                    | ValueNone -> true)
                && (match inputs.Condition with
                    | ValueSome condition ->
                        condition.dim () = 2L
                        && condition.shape[0] = inputs.Points.shape[0]
                        && condition.shape[1] = int64 configuration.Condition
                    | ValueNone -> true)

            if recorded || not plain || not fits then
                Lifetime.keep (fun () ->
                    let dtype: torch.ScalarType = inputs.Points.dtype

                    let parameters: torch.Tensor =
                        (torch.tensor network.Parameters).``to``(dtype).``to``(inputs.Points.device: torch.Device)

                    TensorForm.apply configuration parameters inputs)
            else
                let fused = rent ()

                try
                    runFused fused inputs
                finally
                    idle.Add fused

    let private requireField (network: Network) (condition: int) =
        let configuration = network.Configuration

        if configuration.Input <> configuration.Output then
            invalidArg
                (nameof network)
                $"a field has as many outputs as inputs but the network has {configuration.Output} and {configuration.Input}"

        if configuration.Condition <> condition then
            invalidArg (nameof network) $"the network's condition must have {condition} numbers but has {configuration.Condition}"

    /// The network as a vector field f(t, x): an autonomous one where it takes no time. Throws an ArgumentException unless it has as many outputs as inputs,
    /// and no condition.
    let field (network: Network) : Field =
        requireField network 0
        let value = apply network

        if network.Configuration.Time = TimeInput.Absent then
            Field.autonomous "network" (fun x -> value { Points = x; Time = ValueNone; Condition = ValueNone })
        else
            Field.create "network" (fun t x -> value { Points = x; Time = ValueSome t; Condition = ValueNone })

    /// The network as a vector field under a condition: one row (1 x condition) for the whole batch, or a row for each point. The field reads the tensor at
    /// every call: it must live as long as the field.
    let conditional (condition: torch.Tensor) (network: Network) : Field =
        let width = network.Configuration.Condition

        if width = 0 then
            invalidArg (nameof network) "the network takes no condition"

        requireField network width
        Shape.require (nameof condition) [ -1L; int64 width ] condition
        let value = apply network

        Field.create "network" (fun t x ->
            Lifetime.keep (fun () ->
                let rows: torch.Tensor = if condition.shape[0] = 1L then condition.expand ([| x.shape[0]; int64 width |]) else condition
                let time = if network.Configuration.Time = TimeInput.Absent then ValueNone else ValueSome t
                value { Points = x; Time = time; Condition = ValueSome rows }))

    /// A network of x and t with one output as a scalar action s(t, x), (batch): its gradient by x is a velocity field. Recorded for gradients by t and x.
    let action (network: Network) : torch.Tensor -> torch.Tensor -> torch.Tensor =
        if network.Configuration.Output <> 1 then
            invalidArg (nameof network) $"an action has one output but the network has {network.Configuration.Output}"

        let value = apply network

        fun t x -> Lifetime.keep (fun () -> (value { Points = x; Time = ValueSome t; Condition = ValueNone }).squeeze 1L)
