namespace ValueFlow.Core.Dynamics

open TorchSharp
open ValueFlow.Core.Foundations

/// The adjoint equation of dx/dt = f(t, x): da/dt = -a^T df/dx and dg/dt = -a^T df/dtheta, solved backwards together with x.
/// Pontryagin 1962; Chen, Rubanova, Bettencourt and Duvenaud 2018.
[<RequireQualifiedAccess>]
module internal Adjoint =

    /// x, a and g in one row, and back.
    let private join (parts: torch.Tensor[]) : torch.Tensor =
        (torch.cat (parts |> Array.map (fun part -> part.reshape [| -1L |]), 0L)).unsqueeze 0L

    let private split (templates: torch.Tensor[]) (row: torch.Tensor) : torch.Tensor[] =
        let flat = row.reshape [| -1L |]
        let mutable offset = 0L

        templates
        |> Array.map (fun template ->
            let part = (flat.narrow (0L, offset, template.NumberOfElements)).reshape template.shape
            offset <- offset + template.NumberOfElements
            part)

    /// The field of x, a and g.
    let private field (inner: Field) (templates: torch.Tensor[]) (parameters: torch.Tensor[]) : Field =
        Field.create $"adjoint of {inner.Name}" (fun t row ->
            use scope = torch.NewDisposeScope()
            let parts = split templates row

            let struct (value, onState, onParameters) =
                Diff.pullback (fun x -> [| inner.Apply t x[0] |]) parameters [| parts[0] |] [| parts[1] |]

            let slopes = Array.append onState onParameters |> Array.map (fun g -> g.neg ())
            scope.MoveToOuter(join (Array.append value slopes)))

    /// From the end of an interval to its start: x, a and g there, and the evaluations (of the field with its vector-Jacobian product).
    let sweep
        (solve: OdeOptions -> Field -> torch.Tensor -> float -> float -> OdeSolution)
        (options: OdeOptions)
        (inner: Field)
        (parameters: torch.Tensor[])
        (state: torch.Tensor[])
        (from: float)
        (target: float)
        : torch.Tensor[] * int * Reason =
        use scope = torch.NewDisposeScope()

        let options =
            { options with
                Save = [||]
                Events = []
                Dense = false
                Progress = ignore
                Control = StepControl.withNorm ErrorNorm.RootMeanSquare options.Control
            }

        let solution = solve options (field inner state parameters) (join state) from target
        let parts = split state solution.Final |> Array.map (fun part -> scope.MoveToOuter(part.clone ()))
        parts, solution.Evaluations, solution.Reason
