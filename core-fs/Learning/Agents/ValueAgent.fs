namespace ValueFlow.Core.Learning

open System
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns

/// What an agent knew at a check.
type AgentSnapshot =
    {
        /// Steps made in the world by then.
        Step: int
        /// For each state the greedy action; -1 in a terminal state.
        Greedy: int[]
        /// For each state the value of that action in units of the rewards; 0 in a terminal state.
        Values: float[]
    }

/// What an agent has learnt.
type TrainedAgent =
    {
        /// The network at the end.
        Network: Network
        /// What it knew at each check, the last at the end.
        Snapshots: AgentSnapshot[]
        /// For each episode that ended the undiscounted sum of its rewards, exploration included.
        EpisodeReturns: float[]
        /// For each episode that ended whether it was cut off.
        EpisodeTruncated: bool[]
    }

/// Agents that learn the values of actions from their own steps: epsilon-greedy play, uniform replay, a target network. The very same loop for a value and for a law.
[<RequireQualifiedAccess>]
module ValueAgent =

    /// The bootstrapped targets of a batch, from what the target network says of the states that followed: for a scalar head r + c max q, one a row; for a categorical one the
    /// projected masses of the greedy action. The discount c is 0 where the step terminated; a truncated step bootstraps. Rewards are in the units of the head.
    let targets
        (head: ValueHead)
        (actions: int)
        (rewards: ReadOnlySpan<float32>)
        (discounts: ReadOnlySpan<float32>)
        (nextOutputs: ReadOnlySpan<float32>)
        : float32[] =
        let rows = rewards.Length
        let width = ValueHead.outputs actions head
        Shape.requireLength (nameof discounts) rows discounts.Length
        Shape.requireLength (nameof nextOutputs) (rows * width) nextOutputs.Length

        match head with
        | ValueHead.Scalar ->
            let found = Array.zeroCreate rows

            for b in 0 .. rows - 1 do
                let output = nextOutputs.Slice(b * width, width)
                found[b] <- rewards[b] + discounts[b] * output[ValueHead.greedy output actions head]

            found
        | ValueHead.Categorical support ->
            let count = support.Count
            let masses = Array.zeroCreate (rows * count)

            for b in 0 .. rows - 1 do
                let output = nextOutputs.Slice(b * width, width)
                let logits = output.Slice(ValueHead.greedy output actions head * count, count)
                Numerics.Tensors.TensorPrimitives.SoftMax(logits, Span(masses, b * count, count))

            let projected = Array.zeroCreate masses.Length
            CategoricalKernel.project support 1 rewards discounts (ReadOnlySpan masses) (Span projected) |> ignore
            projected

    // The mean loss over a batch whose row b is held to targets(b) at its action, and its gradient.
    let private lossOf (head: ValueHead) (actions: int[]) (targets: float32[]) : RowLoss =
        let scale = 1.0 / float actions.Length

        match head with
        | ValueHead.Scalar ->
            RowLoss(fun row output flow ->
                let error = float output[actions[row]] - float targets[row]
                let slope = Math.Clamp(error, -1.0, 1.0)
                flow.Clear()
                flow[actions[row]] <- float32 (scale * slope)
                scale * slope * (error - 0.5 * slope))
        | ValueHead.Categorical support ->
            let count = support.Count

            RowLoss(fun row output flow ->
                flow.Clear()
                let from = actions[row] * count
                let slope = flow.Slice(from, count)

                let value =
                    CrossEntropy.lossAndGradient count (output.Slice(from, count)) (ReadOnlySpan(targets, row * count, count)) slope

                for i in 0 .. count - 1 do
                    slope[i] <- float32 scale * slope[i]

                scale * value)

    // What the loop works with, and changes.
    type private Workshop =
        {
            World: TabularWorld
            Options: AgentOptions
            Online: FusedNetwork
            Target: FusedNetwork
            Parameters: float32[]
            Gradient: float32[]
            Replay: Replay
        }

    let private rowsOf (world: TabularWorld) (states: int[]) : float32[] =
        let rows = Array.zeroCreate (states.Length * world.Width)
        states |> Array.iteri (fun b state -> world.Observe(state, Span(rows, b * world.Width, world.Width)))
        rows

    let private outputsOf (network: FusedNetwork) (rows: int) (points: float32[]) : float32[] =
        let outputs = Array.zeroCreate (rows * network.Configuration.Output)
        network.Forward(rows, ReadOnlySpan points, ReadOnlySpan.Empty, ReadOnlySpan.Empty, Span outputs)
        outputs

    let private learn (shop: Workshop) (generator: Generator) (state: OptimiserState) (step: int) : struct (OptimiserState * float) =
        let options, world = shop.Options, shop.World
        let batch = Array.zeroCreate<Transition> options.Batch
        shop.Replay.Sample(generator, Span batch)
        let rewards = batch |> Array.map (fun transition -> float32 (options.RewardScale * transition.Reward))
        let discounts = batch |> Array.map (fun transition -> float32 (options.Discount * transition.Continuation))
        let next = outputsOf shop.Target batch.Length (rowsOf world (batch |> Array.map _.Next))

        let targets = targets options.Head world.ActionCount (ReadOnlySpan rewards) (ReadOnlySpan discounts) (ReadOnlySpan next)

        let loss =
            shop.Online.LossGradient(
                lossOf options.Head (batch |> Array.map _.Action) targets,
                batch.Length,
                ReadOnlySpan(rowsOf world (batch |> Array.map _.State)),
                ReadOnlySpan.Empty,
                ReadOnlySpan.Empty,
                Span shop.Gradient
            )

        let next =
            Optimiser.stepInto options.Optimiser (LearningRate.at step options.LearningRate) shop.Gradient shop.Parameters state

        shop.Online.Load(ReadOnlySpan shop.Parameters)
        struct (next, loss)

    let private snapshot (shop: Workshop) (step: int) : AgentSnapshot =
        let world, head = shop.World, shop.Options.Head
        let states = Array.init world.Model.StateCount id
        let outputs = outputsOf shop.Online states.Length (rowsOf world states)
        let width = shop.Online.Configuration.Output
        let greedy = Array.create states.Length -1
        let values = Array.zeroCreate states.Length

        for state in states do
            if not (world.Model.IsTerminal state) then
                let output = ReadOnlySpan(outputs, state * width, width)
                greedy[state] <- ValueHead.greedy output world.ActionCount head
                values[state] <- ValueHead.value output greedy[state] head / shop.Options.RewardScale

        { Step = step; Greedy = greedy; Values = values }

    let private act (shop: Workshop) (generator: Generator) (step: int) (state: int) : int =
        let struct (first, last) = shop.Options.Exploration
        let share = Math.Min(1.0, float step / float shop.Options.ExplorationSteps)

        if generator.Uniform() < first + (last - first) * share then
            generator.Below shop.World.ActionCount
        else
            ValueHead.greedy
                (ReadOnlySpan(outputsOf shop.Online 1 (rowsOf shop.World [| state |])))
                shop.World.ActionCount
                shop.Options.Head

    /// Learns from its own steps in the world. The seed decides all; world and options are not changed. Throws an ArgumentException for options that make no sense, and an
    /// OperationCanceledException when it is cancelled.
    let train (options: AgentOptions) (world: TabularWorld) : TrainedAgent =
        AgentOptions.require options
        let generator = Generator options.Seed
        let outputs = ValueHead.outputs world.ActionCount options.Head
        let configuration = NetworkConfiguration.mlp world.Width options.Hidden outputs Activation.Relu
        let parameters = (Network.init Initialisation.Linear (generator.Split()) configuration).Parameters

        let shop =
            {
                World = world
                Options = options
                Online = FusedNetwork configuration
                Target = FusedNetwork configuration
                Parameters = parameters
                Gradient = Array.zeroCreate parameters.Length
                Replay = Replay options.Capacity
            }

        shop.Online.Load(ReadOnlySpan parameters)
        shop.Target.Load(ReadOnlySpan parameters)
        let snapshots, returns, truncated = ResizeArray<AgentSnapshot>(), ResizeArray<float>(), ResizeArray<bool>()
        let mutable memory = Optimiser.init options.Optimiser parameters.Length
        let mutable state = world.Start generator
        let mutable length = 0
        let mutable earned = 0.0
        let mutable losses = 0.0
        let mutable updates = 0

        for step in 1 .. options.Steps do
            options.Cancellation.ThrowIfCancellationRequested()
            let action = act shop generator step state
            let outcome = world.Step(generator, state, action)
            length <- length + 1
            earned <- earned + outcome.Reward
            let isOver = outcome.Continuation = 0.0
            let isCut = not isOver && length = options.EpisodeSteps

            shop.Replay.Add
                {
                    State = state
                    Action = action
                    Reward = outcome.Reward
                    Next = outcome.Next
                    Continuation = outcome.Continuation
                    Truncated = isCut
                }

            state <- outcome.Next

            if isOver || isCut then
                returns.Add earned
                truncated.Add isCut
                state <- world.Start generator
                length <- 0
                earned <- 0.0

            if step > options.WarmUp then
                let struct (next, loss) = learn shop generator memory step
                memory <- next
                losses <- losses + loss
                updates <- updates + 1

            if step % options.TargetEvery = 0 then
                shop.Target.Load(ReadOnlySpan parameters)

            if step % options.CheckEvery = 0 || step = options.Steps then
                snapshots.Add(snapshot shop step)
                options.Progress { Step = step; Loss = losses / float updates; Episodes = returns.Count }
                losses <- 0.0
                updates <- 0

        {
            Network = Network.create configuration parameters
            Snapshots = snapshots.ToArray()
            EpisodeReturns = returns.ToArray()
            EpisodeTruncated = truncated.ToArray()
        }
