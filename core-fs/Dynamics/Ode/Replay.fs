namespace ValueFlow.Core.Dynamics

open TorchSharp
open ValueFlow.Core.Foundations

/// The accepted steps once more, in plain tensor arithmetic: what gradients go through.
[<RequireQualifiedAccess>]
module internal Replay =

    let private column (values: float[]) (x: torch.Tensor) : torch.Tensor =
        if values.Length = 1 then
            torch.tensor (values[0], dtype = x.dtype)
        else
            let shape = Array.init (int (x.dim ())) (fun d -> if d = 0 then int64 values.Length else 1L)
            (torch.tensor (values, dtype = x.dtype)).view shape

    /// One step. A lane that did not move stays as it is.
    let step (scheme: Scheme) (field: Field) (grid: GridStep) (x: torch.Tensor) : torch.Tensor =
        Lifetime.keep (fun () ->
            let time (share: float) : torch.Tensor =
                let times = Array.map2 (fun t h -> t + share * h) grid.Times grid.Lengths

                if times.Length = 1 then
                    torch.tensor (times[0], dtype = x.dtype)
                else
                    torch.tensor (times, dtype = x.dtype)

            RungeKutta.advance scheme [ Term.time field ] time [ column grid.Lengths x ] x)

    /// All steps, with the graph of autograd: the states at the saved times that were reached, and the final state.
    let run (options: OdeOptions) (field: Field) (x0: torch.Tensor) (solution: OdeSolution) : struct (torch.Tensor[] * torch.Tensor) =
        use scope = torch.NewDisposeScope()
        let saved = Array.create solution.Saved.Length Unchecked.defaultof<torch.Tensor>
        let mutable x = x0.alias ()

        // Saved at the start: there was no step.
        for i in 0 .. saved.Length - 1 do
            saved[i] <- x

        for grid in solution.Grid do
            let next = step options.Scheme field grid x

            grid.Saved
            |> Array.iteri (fun lane target ->
                if target >= 0 then
                    saved[target] <-
                        if grid.Saved.Length = 1 then
                            next.alias ()
                        else
                            let rows = grid.Saved.Length

                            let mine =
                                (torch.tensor (Array.init rows ((=) lane)))
                                    .view(Array.init (int (x.dim ())) (fun d -> if d = 0 then int64 rows else 1L))

                            torch.where (mine, next, saved[target]))

            x <- next

        struct (saved |> Array.map (fun state -> scope.MoveToOuter(state.alias ())), scope.MoveToOuter(x.alias ()))
