namespace ValueFlow.Benchmarks

open System
open TorchSharp
open ValueFlow.Core.Dynamics
open ValueFlow.Core.Foundations
open ValueFlow.Core.Learning

/// Time of a Dormand-Prince solve at 1e-5 against that of its bare evaluations, and its errors.
[<RequireQualifiedAccess>]
module SolverRows =

    [<Literal>]
    let private Section = "ODE solve, Dormand-Prince 5 at 1e-5"

    let private error (final: torch.Tensor) (reference: float[]) : float =
        Lifetime.within (fun () ->
            let dimension = reference.Length / 256
            let found: float[] = (final.narrow(0L, 0L, 256L).``to`` torch.float64).reshape(-1L).data<float>().ToArray()
            assert (found.Length = 256 * dimension)
            Array.map2 (fun a b -> abs (a - b)) found reference |> Array.max)

    let private row (extent: Extent) (network: Network) (start: float32[]) (reference: float[]) (batch: int) : Row list =
        use _plain = torch.no_grad ()
        use _scope = torch.NewDisposeScope()
        let dimension = network.Configuration.Input
        let x0 = FlowData.rows dimension batch start
        let field = NetworkField.field network
        let time: torch.Tensor = torch.tensor 0.5f
        use modules = PlainTorch.modules network
        let solution = Ode.solve OdeOptions.standard field x0 0.0 1.0
        let evaluations = solution.Evaluations
        let solve () = (Ode.solve OdeOptions.standard field x0 0.0 1.0 :> IDisposable).Dispose()
        let bare () = (field.Apply time x0).Dispose()
        let plain () = (PlainTorch.forward modules time x0).Dispose()

        match
            Measure.inTurns
                extent.Repeats
                [ { Calls = 1; Call = solve }; { Calls = evaluations; Call = bare }; { Calls = evaluations; Call = plain } ]
        with
        | [ whole; bare; plain ] ->
            let share (values: float[]) = values |> Array.map (fun s -> s / float evaluations)
            let each = { Cpu = share whole.Cpu; Wall = share whole.Wall }
            let isKnown (row: Row) (peer: PeerFigure) = { row with Peer = ValueSome peer }
            let name = $"dim {dimension}, batch {batch}"
            let note = $"{evaluations} evaluations, {1e3 * Measure.seconds whole:F1} ms"

            [
                isKnown
                    { Row.timed Section $"{name}: per evaluation" "us" each "bare field evaluation" bare with
                        Note = note
                    }
                    (Peers.solver dimension batch)
                |> Row.atMost "in bare evaluations" 1.3 (Measure.ratio each bare)
                Row.timed Section $"{name}: per evaluation" "us" each "forward pass of TorchSharp modules" plain
                isKnown
                    (Row.figure Section $"{name}: largest error, first 256 rows" "" (error solution.Final reference))
                    (Peers.solverError dimension batch)
            ]
        | _ -> []

    /// The rows.
    let measure (extent: Extent) (data: FlowData) : Row list =
        [
            for batch in [ 256; 4096 ] do
                yield! row extent data.Trained data.TestStart data.Reference2 batch

            for batch in [ 256; 4096 ] do
                yield! row extent data.Field64 data.Start64 data.Reference64 batch
        ]
