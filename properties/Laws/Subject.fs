namespace ValueFlow.Laws

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// One random trial as plain data: a decision process if the subject is a family over them, two points, and a constant that is not negative.
type Trial =
    {
        /// The decision process, for a family.
        Sketch: ModelSketch voption
        /// The first point.
        X: float[]
        /// The second point.
        Y: float[]
        /// A constant, not negative.
        C: float
    }

    /// The process, the points and the constant.
    override this.ToString() =
        let vector (x: float[]) = x |> Array.map (fun v -> ModelError.number (v + 0.0)) |> String.concat ", "

        let process' =
            match this.Sketch with
            | ValueSome sketch -> $"{sketch}\n"
            | ValueNone -> ""

        $"{process'}x = [{vector this.X}]\ny = [{vector this.Y}]\nc = {ModelError.number this.C}"

/// What a law is tried on: an operator, or a family of operators over random decision processes.
type Subject<'x> =
    {
        /// The name in reports.
        Name: string
        /// Entries of a point; nothing for a family, where it is <c>Width</c> for each state.
        Dimension: int voption
        /// Entries of a point for each state, side by side: 1 for values, more where a state has a law.
        Width: int
        /// The operator of a trial, and what frees what it holds.
        Make: Trial -> struct (Operator<'x> * IDisposable)
        /// A point from its entries.
        Lift: float[] -> 'x
        /// The entries of a point.
        Drop: 'x -> float[]
    }

/// Makes subjects.
[<RequireQualifiedAccess>]
module Subject =

    let private nothing =
        { new IDisposable with
            member _.Dispose() = ()
        }

    /// An operator on points that are made from vectors of a dimension.
    let create (dimension: int) (lift: float[] -> 'x) (drop: 'x -> float[]) (operator: Operator<'x>) : Subject<'x> =
        if dimension < 1 then
            invalidArg (nameof dimension) $"dimension must be at least 1 but is {dimension}"

        {
            Name = operator.Name
            Dimension = ValueSome dimension
            Width = 1
            Make = fun _ -> struct (operator, nothing)
            Lift = lift
            Drop = drop
        }

    /// An operator on vectors of a dimension.
    let vectors (dimension: int) (operator: Operator<float[]>) : Subject<float[]> = create dimension Array.copy id operator

    /// An operator on tensors of float64 of one dimension.
    let tensors (dimension: int) (operator: Operator<torch.Tensor>) : Subject<torch.Tensor> =
        create dimension (fun x -> torch.tensor (x, dtype = torch.float64)) (fun x -> x.data<float>().ToArray()) operator

    /// A family: an operator on values for each model and discount.
    let family (name: string) (make: Model -> float -> Operator<float[]>) : Subject<float[]> =
        {
            Name = name
            Dimension = ValueNone
            Width = 1
            Make =
                fun trial ->
                    let sketch = trial.Sketch.Value
                    struct (make (ModelSketch.toModel sketch) sketch.Discount, nothing)
            Lift = Array.copy
            Drop = id
        }

    /// A family on points that hold <c>width</c> entries for each state: laws, say. <c>lift</c> makes a point of the entries, state by state.
    let familyOf
        (name: string)
        (width: int)
        (lift: float[] -> 'x)
        (drop: 'x -> float[])
        (make: Model -> float -> Operator<'x>)
        : Subject<'x> =
        if width < 1 then
            invalidArg (nameof width) $"width must be at least 1 but is {width}"

        {
            Name = name
            Dimension = ValueNone
            Width = width
            Make =
                fun trial ->
                    let sketch = trial.Sketch.Value
                    struct (make (ModelSketch.toModel sketch) sketch.Discount, nothing)
            Lift = lift
            Drop = drop
        }

    /// The Bellman operators of two summaries, in row form.
    let bellman (state: StateSummary) (action: Model -> ActionSummary) : Subject<float[]> =
        family $"Bellman[{state.Name}]" (fun model discount -> (Bellman.Create(model, discount, state, action model)).Operator)

    /// The Bellman operators of two summaries, in tensor form.
    let bellmanOnTensors (state: StateSummary) (action: Model -> ActionSummary) : Subject<torch.Tensor> =
        {
            Name = $"Bellman[{state.Name}] on tensors"
            Dimension = ValueNone
            Width = 1
            Make =
                fun trial ->
                    let sketch = trial.Sketch.Value
                    let model = ModelSketch.toModel sketch
                    let bellman = Bellman.Create(model, sketch.Discount, state, action model)
                    let rows = new TensorRows(bellman.Kernel)
                    struct (bellman.TensorOperator rows, rows :> IDisposable)
            Lift = fun x -> torch.tensor (x, dtype = torch.float64)
            Drop = fun x -> x.data<float>().ToArray()
        }

/// Random trials, and smaller ones.
[<RequireQualifiedAccess>]
module internal Trial =

    let private entry (generator: Generator) =
        let scale = [| 0.0; 1.0; 1.0; 10.0; 1e4 |][generator.Below 5]
        let x = scale * (2.0 * generator.Uniform() - 1.0)
        // Whole numbers and ties are where maxima meet.
        if generator.Uniform() < 0.4 then Math.Round x else x

    let generate (subject: Subject<'x>) (generator: Generator) : Trial =
        let sketch = if subject.Dimension.IsSome then ValueNone else ValueSome(ModelSketch.generate generator)
        let dimension = subject.Dimension |> ValueOption.defaultWith (fun () -> sketch.Value.States.Length * subject.Width)
        let x = Array.init dimension (fun _ -> entry generator)

        let y =
            match generator.Below 5 with
            | 0 -> Array.init dimension (fun _ -> entry generator)
            // A constant apart: where a discount shows in full.
            | 1 ->
                let c = entry generator
                x |> Array.map (fun xi -> xi + c)
            | 2 ->
                let place, c = generator.Below dimension, entry generator
                x |> Array.mapi (fun i xi -> if i = place then xi + c else xi)
            // A hair apart: where jumps show.
            | 3 ->
                let place, c = generator.Below dimension, Math.Pow(10.0, -1.0 - 5.0 * generator.Uniform())
                x |> Array.mapi (fun i xi -> if i = place then xi + c else xi)
            // Above everywhere.
            | _ -> x |> Array.map (fun xi -> xi + abs (entry generator))

        { Sketch = sketch; X = x; Y = y; C = abs (entry generator) }

    let shrink (trial: Trial) : seq<Trial> =
        seq {
            match trial.Sketch with
            | ValueSome sketch ->
                if sketch.States.Length > 1 then
                    let width = trial.X.Length / sketch.States.Length

                    for s in 0 .. sketch.States.Length - 1 do
                        yield
                            { trial with
                                Sketch = ValueSome(ModelSketch.dropState sketch s)
                                X = Array.removeManyAt (s * width) width trial.X
                                Y = Array.removeManyAt (s * width) width trial.Y
                            }

                for smaller in ModelSketch.shrink sketch do
                    yield { trial with Sketch = ValueSome smaller }
            | ValueNone -> ()

            // A place where both are zero says nothing.
            for i in 0 .. trial.X.Length - 1 do
                if trial.X[i] <> trial.Y[i] then
                    yield { trial with Y = Array.updateAt i trial.X[i] trial.Y }

                for x in ModelSketch.smaller trial.X[i] do
                    if trial.X[i] = trial.Y[i] then
                        yield { trial with X = Array.updateAt i x trial.X; Y = Array.updateAt i x trial.Y }
                    else
                        yield { trial with X = Array.updateAt i x trial.X }

                for y in ModelSketch.smaller trial.Y[i] do
                    if trial.X[i] <> trial.Y[i] then
                        yield { trial with Y = Array.updateAt i y trial.Y }

            for c in ModelSketch.smaller trial.C do
                yield { trial with C = c }
        }
